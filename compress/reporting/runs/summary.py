"""What each run made of its teacher, and how it differs from the first run, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compress.evaluation.record import Paired
from compress.reporting import wording
from compress.reporting.before_after import (
    NOT_DISTINGUISHABLE,
    Change,
    distinguishable,
    ratio_words,
)
from compress.reporting.headline import headline
from compress.reporting.outcome import Verdict, tiles
from compress.reporting.record import Delivered
from compress.reporting.runs.answers import Answers, pair
from compress.reporting.runs.facts import cpu, same_clips, shipped, verdict_of
from compress.reporting.runs.reading import Run

# Of a p value: below it a difference is called one.
CLEAR = 0.05


@dataclass(frozen=True)
class Part:
    """A change in words; `state` is better, worse or same."""

    says: str
    state: str


@dataclass(frozen=True)
class Summary:
    """A run at the top of the page.

    Attributes:
        number: counted from 1.
        figures: top-1, size, latency, parameters and MACs, before -> after.
        against_teacher, against_first: size, speed and accuracy; empty where unknown.
        tested: whether the accuracy differs from the first run's, in words.
        best: of all runs: smallest, fastest, most accurate.
    """

    number: int
    name: str
    recipe: str
    verdict: Verdict
    link: str
    figures: tuple[Change, ...]
    against_teacher: tuple[Part, ...]
    against_first: tuple[Part, ...]
    tested: str
    best: tuple[str, ...] = ()


def summaries(
    runs: Sequence[Run], answers: Sequence[Answers], links: Sequence[str]
) -> tuple[Summary, ...]:
    """A summary of each run; `links` lead to their own pages."""
    found = []
    best = _best(runs)
    first = shipped(runs[0].report)
    for place, run in enumerate(runs):
        after = shipped(run.report)
        before = run.report.before
        against_first: tuple[Part, ...] = ()
        if place and first is not None and after is not None:
            against_first = changes(
                first, after, alike=cpu(runs[0]) == cpu(run), judged=same_clips(runs[0], run)
            )
        found.append(
            Summary(
                number=place + 1,
                name=run.name,
                recipe=run.report.recipe,
                verdict=verdict_of(run.report),
                link=links[place],
                figures=tuple(
                    figure for row in headline(run.report, tiles(run.report)) for figure in row
                ),
                against_teacher=changes(before, after) if before and after else (),
                against_first=against_first,
                tested=_tested(runs, answers, place) if place else "",
                best=best[place],
            )
        )
    return tuple(found)


def changes(
    old: Delivered, new: Delivered, alike: bool = True, judged: bool = True
) -> tuple[Part, ...]:
    """Size, speed and accuracy of `new` against `old`; those that are known.

    Args:
        alike: whether both were timed on one processor.
        judged: whether both were judged on the same clips.
    """
    parts = []
    if old.bytes and new.bytes:
        says, state = ratio_words(old.bytes, new.bytes, ("smaller", "larger"))
        parts.append(Part("about as large" if state == "same" else says, state))
    if alike and old.runtime == new.runtime and old.p50_ms and new.p50_ms:
        says, state = ratio_words(old.p50_ms, new.p50_ms, ("faster", "slower"))
        if not distinguishable(old, new):
            says, state = f"{NOT_DISTINGUISHABLE} in speed", "same"
        parts.append(Part("about as fast" if says == "about the same" else says, state))
    points = wording.difference(new.top1, old.top1)
    if points is not None and judged:
        parts.append(_accuracy(points))
    return tuple(parts)


def _accuracy(points: float) -> Part:
    # As it is shown: "0.00 points less" would be a puzzle.
    if round(points, 2) == 0:
        return Part("as accurate", "same")
    more = points > 0
    says = f"{abs(points):.2f} points {'more' if more else 'less'} accurate"
    return Part(says, "better" if more else "worse")


def main_name(run: Run, answers: Answers) -> str:
    """Whose answers stand for the run: the file that its figures are of; empty: nobody's."""
    after = shipped(run.report)
    return after.runtime if after is not None and after.runtime in answers.right else ""


def _tested(runs: Sequence[Run], answers: Sequence[Answers], place: int) -> str:
    if not same_clips(runs[0], runs[place]):
        return "its accuracy is of other clips"
    base = main_name(runs[0], answers[0])
    name = main_name(runs[place], answers[place])
    paired = pair(answers[0], base, answers[place], name)
    return "" if paired is None else in_words(paired)


def in_words(paired: Paired) -> str:
    """ "3 clips gained, 5 lost, p = 0.73: may be chance"."""
    if not paired.gained and not paired.lost:
        return "every clip right or wrong in both"
    judged = "more than chance" if paired.p < CLEAR else "may be chance"
    clips = "clip" if paired.gained == 1 else "clips"
    return f"{paired.gained} {clips} gained, {paired.lost} lost, p = {paired.p:.2g}: {judged}"


def _best(runs: Sequence[Run]) -> list[tuple[str, ...]]:
    """The words that each run alone has earned."""
    words: list[list[str]] = [[] for _ in runs]
    ships = [(place, each) for place, run in enumerate(runs) if (each := shipped(run.report))]
    by_size = sorted((each.bytes, place) for place, each in ships if each.bytes)
    by_top1 = sorted((-each.top1, place) for place, each in ships if each.top1 is not None)
    if not all(same_clips(runs[0], run) for run in runs):
        by_top1 = []
    for word, ranked in (("smallest", by_size), ("most accurate", by_top1)):
        if len(ranked) > 1 and ranked[0][0] < ranked[1][0]:
            words[ranked[0][1]].append(word)
    timed = sorted((each.p50_ms, place) for place, each in ships if each.p50_ms)
    # Milliseconds of two machines, or of two runtimes on one, are no race.
    raced = {(cpu(runs[place]), each.runtime) for place, each in ships}
    if len(timed) > 1 and len(raced) == 1:
        fast, slow = (shipped(runs[place].report) for _, place in timed[:2])
        if fast and slow and distinguishable(fast, slow):
            words[timed[0][1]].append("fastest")
    return [tuple(each) for each in words]
