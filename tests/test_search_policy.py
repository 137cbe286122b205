"""What a search does next, by its log alone."""

from __future__ import annotations

import pytest

from compress.search import front, policy, report, results
from compress.search.state import (
    SLACK,
    Ask,
    Close,
    Deliver,
    End,
    Limits,
    Schedule,
    State,
    Train,
)

FREE = Limits(10**6, None, 0.5, None)
SCHEDULE = Schedule(epochs=9, candidates=3, halving=3)


class Story:
    """A log, written by hand; a second an event."""

    def __init__(self):
        self.events = []

    def add(self, kind, after=1.0, **values):
        elapsed = (self.events[-1]["elapsed"] if self.events else 0.0) + after
        self.events.append({"kind": kind, "elapsed": elapsed, **values})
        return self

    def candidate(self, name, size=1000, bits=("int8",)):
        points = {each: {"bytes": size, "ms": 1.0, "macs": 10} for each in bits}
        return self.add("candidate", name=name, points=points)

    def trained(self, name, *top1, why="rung", seconds=1.0):
        before = len(
            [each for each in self.events if each["kind"] == "epoch" and each["shape"] == name]
        )
        for number, value in enumerate(top1, start=1):
            epoch = {"shape": name, "epoch": before + number, "top1": value, "seconds": seconds}
            self.add("epoch", seconds, **epoch)
        return self.add("rested", shape=name, epoch=before + len(top1), why=why)

    def skipped(self, name, epoch, bits="int8"):
        return self.add("skipped", shape=name, bits=bits, best_epoch=epoch)

    def next(self, limits=FREE, schedule=SCHEDULE):
        return policy.next_action(self.events, limits, schedule)


def _wave():
    story = Story()
    for name, top1 in (("a", 50.0), ("b", 70.0), ("c", 60.0)):
        story.candidate(name).trained(name, top1).skipped(name, 1)
    return story


def test_a_wave_is_filled_trained_and_halved():
    story = Story()
    assert story.next() == Ask()
    story.candidate("a")
    assert story.next() == Train("a", 1)
    story.trained("a", 50.0)
    assert story.next() == Deliver("a", "int8")
    story.skipped("a", 1)
    assert story.next() == Ask()
    story = _wave()
    assert story.next() == Close(("a", "b", "c"))
    story.add("wave", members=["a", "b", "c"])
    # One of three goes on to three epochs, then to all nine.
    assert story.next() == Train("b", 3)
    story.trained("b", 71.0, 72.0).skipped("b", 3)
    assert story.next() == Train("b", 9)
    story.trained("b", *[80.0] * 6, why="end").skipped("b", 9)
    assert story.next() == Ask()


def test_what_is_left_goes_on_when_nothing_is_new():
    story = _wave().add("wave", members=["a", "b", "c"])
    story.trained("b", *[80.0] * 8, why="end").skipped("b", 9).add("exhausted")
    assert story.next() == Train("c", 9)
    story.trained("c", *[60.0] * 8, why="end").skipped("c", 9)
    story.trained("a", *[50.0] * 8, why="end").skipped("a", 9)
    assert story.next() == End("space")


def test_time_ends_it_before_it_is_over():
    story = _wave().add("wave", members=["a", "b", "c"])
    left = story.events[-1]["elapsed"]
    assert story.next(Limits(10**6, None, 0.5, left + 10.0)) == End("time")
    # An epoch of a second and a delivery of fifteen fit in twenty seconds.
    assert story.next(Limits(10**6, None, 0.5, left + 20.0)) == Train("b", 3)


def test_a_training_stops_at_its_rung_or_where_another_epoch_would_be_too_late():
    story = Story().candidate("a")
    story.add("epoch", shape="a", epoch=1, top1=50.0, seconds=10.0)
    assert policy.stops(story.events, "a", 1, FREE) == "rung"
    assert policy.stops(story.events, "a", 3, FREE) == ""
    late = Limits(10**6, None, 0.5, story.events[-1]["elapsed"] + 27.0)
    # 10 s times the slack and 15 s to deliver are more than 27 s.
    assert policy.stops(story.events, "a", 3, late) == "time"


def test_a_wave_is_closed_where_its_best_could_not_be_trained_to_the_end():
    story = Story().candidate("a").trained("a", 50.0, seconds=10.0).skipped("a", 1)
    assert story.next() == Ask()
    now = story.events[-1]["elapsed"]
    assert story.next(Limits(10**6, None, 0.5, now + 60.0)) == Close(("a",))


def test_a_training_that_was_killed_goes_on_to_where_it_was_meant_to():
    story = Story().candidate("a").add("train", shape="a", epochs=3)
    assert story.next() == Train("a", 3)
    story.add("epoch", shape="a", epoch=1, top1=50.0, seconds=1.0)
    assert story.next() == Train("a", 3)
    # Though the time is over: its epoch comes to rest, and ends there.
    over = Limits(10**6, None, 0.5, 1.0)
    assert story.next(over) == Train("a", 3)
    assert policy.stops(story.events, "a", 3, over) == "time"
    story.add("rested", shape="a", epoch=1, why="time")
    assert story.next() == Deliver("a", "int8")


def test_a_better_epoch_is_delivered_again_and_a_failure_never():
    story = Story().candidate("a").trained("a", 50.0)
    point = {
        "folder": "p",
        "bytes": 1000,
        "ms": 1.0,
        "top1": 50.0,
        "trained_top1": 50.0,
        "seconds": 1.0,
    }
    story.add("point", shape="a", bits="int8", best_epoch=1, **point)
    assert not isinstance(story.next(), Deliver)
    story.trained("a", 55.0)
    assert story.next() == Deliver("a", "int8")
    story.add("unusable", shape="a", bits="int8", best_epoch=2, why="no")
    assert not isinstance(story.next(), Deliver)


def test_only_what_may_be_on_the_front_is_delivered():
    story = Story().candidate("a").trained("a", 50.0).candidate("b").trained("b", 49.0)
    assert policy.promising(story.events, "b", "int8", FREE, 50.0)
    point = {
        "folder": "p",
        "bytes": 1000,
        "ms": 1.0,
        "top1": 49.5,
        "trained_top1": 50.0,
        "seconds": 1.0,
    }
    story.add("point", shape="a", bits="int8", best_epoch=1, **point)
    assert not policy.promising(story.events, "b", "int8", FREE, 50.0)


def test_epochs_of_larger_networks_are_expected_to_take_longer():
    story = Story().candidate("a").trained("a", 50.0, seconds=4.0)
    story.add("candidate", name="b", points={"int8": {"bytes": 1, "ms": 1.0, "macs": 20}})
    state = State(story.events)
    assert state.epoch_seconds(state.candidates["b"]) == pytest.approx(4.0 * 2 * SLACK)


@pytest.mark.parametrize(
    "epochs, halving, rungs", [(9, 3, (1, 3, 9)), (18, 3, (2, 6, 18)), (2, 2, (1, 2)), (1, 3, (1,))]
)
def test_rungs(epochs, halving, rungs):
    assert Schedule(epochs, 9, halving).rungs == rungs


def test_the_front_is_what_nothing_beats():
    costs = [(1.0, 5.0), (2.0, 4.0), (2.0, 5.0), (1.0, 5.0), (3.0, 3.0)]
    assert front.front(costs) == [0, 1, 4]
    assert front.ranks(costs) == [0, 0, 1, 0, 0]


def _delivered(story, name, top1, epoch, ms=1.0, bits="int8"):
    values = {"bytes": 1000, "ms": ms, "top1": top1, "best_epoch": epoch, "seconds": 1.0}
    foretold = {"predicted_ms": ms, "macs": 10, "trained_top1": top1}
    folder = f"points/{name}-{bits}-e{epoch}"
    return story.add("point", shape=name, bits=bits, folder=folder, **foretold, **values)


@pytest.mark.parametrize(
    "limits, first, later, best_epoch",
    [
        # Better weights, but the file of them is not
        (Limits(2000, None, 2.0, None), (88.0, 1.0), (87.4, 1.0), 3),
        # More accurate, but too slow
        (Limits(2000, 1.02, 5.0, None), (88.0, 1.0), (88.5, 1.03), 3),
        (Limits(2000, None, 2.0, None), (88.0, 1.0), (88.5, 1.0), 9),
        # As good: the later one, as among epochs
        (Limits(2000, None, 2.0, None), (88.0, 1.0), (88.0, 1.0), 9),
    ],
)
def test_a_later_delivery_takes_the_place_of_a_worse_one_alone(limits, first, later, best_epoch):
    story = Story().candidate("a")
    for (top1, ms), epoch in ((first, 3), (later, 9)):
        _delivered(story, "a", top1, epoch, ms)
    found = results.found(story.events, limits, 89.5)
    assert [point["best_epoch"] for point in found.points] == [best_epoch]
    assert found.best_point["best_epoch"] == best_epoch and report.exit_code(found) == 0


def test_a_floor_of_the_recipe_is_a_limit():
    story = _delivered(Story().candidate("a"), "a", 70.0, 3)
    assert report.exit_code(results.found(story.events, FREE, 70.0)) == 0
    floor = Limits(10**6, None, 0.5, None, min_top1=90.0)
    found = results.found(story.events, floor, 70.0)
    assert found.best_point["keeps"]["top1"] is False and report.exit_code(found) == 3


@pytest.mark.parametrize(
    "limits, code, said",
    [
        (Limits(10**6, 2.0, 25.0, None), 0, ""),
        (Limits(10**6, None, 2.0, None), 3, "20.00 points below the teacher, at most 2"),
        (Limits(10**6, None, 25.0, None, min_top1=80.0), 3, "top-1 70.00 %, at least 80"),
        (Limits(999, 0.5, 25.0, None), 2, "1,000 bytes, at most 999; 1.00 ms, at most 0.5"),
    ],
)
def test_a_best_that_misses_limits_is_not_passed_off_as_found(limits, code, said, tmp_path):
    story = _delivered(Story().candidate("a").trained("a", 70.0), "a", 70.0, 1)
    found = results.found(story.events, limits, 90.0)
    assert report.exit_code(found) == code
    results.write(found, tmp_path, lambda point: "")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    printed = " ".join(map(str, report.printed(found, tmp_path)[1:]))
    assert ("no network keeps all limits; the best has" in printed) == bool(said)
    assert ("No network keeps all limits so far." in page) == bool(said)
    assert said in printed and said in page


def test_only_files_of_its_own_are_removed(tmp_path):
    def written(story):
        found = results.found(story.events, FREE, 90.0)
        results.write(found, tmp_path, lambda point: "")
        return found.front

    story = _delivered(Story().candidate("a").trained("a", 70.0), "a", 70.0, 1)
    (tmp_path / "points" / "a-int8-e1").mkdir(parents=True)
    assert written(story) == ("a-int8",)
    mine = [tmp_path / "front" / "mine.yaml", tmp_path / "points" / "mine" / "note.txt"]
    # Made of a recipe of the front, with the bits that the search had passed over
    mine.append(tmp_path / "front" / "a-float32.yaml")
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    (tmp_path / "points" / "b-int8-e2").mkdir()  # begun, and stopped on the way
    story.candidate("b").trained("b", 75.0, 80.0, 78.0)
    _delivered(story, "b", 80.0, 3, ms=0.5)
    (tmp_path / "points" / "b-int8-e3").mkdir()
    assert written(story) == ("b-int8",)
    assert [path.read_text() for path in mine] == ["mine"] * 3
    names = {path.name for path in (tmp_path / "front").iterdir()}
    assert names == {"b-int8.yaml", "a-float32.yaml", "mine.yaml"}
    names = {path.name for path in (tmp_path / "points").iterdir()}
    # What others beat is kept, for the page shows it.
    assert names == {"a-int8-e1", "b-int8-e3", "mine"}


def test_nothing_fits_is_said_only_where_it_was_judged(tmp_path):
    def ended(story, why):
        found = results.found(story.add("end", why=why).events, FREE, 90.0)
        return report.exit_code(found), " ".join(map(str, report.printed(found, tmp_path)[1:]))

    code, said = ended(Story().candidate("a"), "time")
    assert code == 1 and "--resume and more --time" in said
    code, said = ended(Story().candidate("a").add("failed", shape="a", why="nan"), "space")
    assert code == 1 and "every network that fits failed" in said
    code, said = ended(Story().add("refused", name="a", why="bytes"), "space")
    assert code == 2 and "1 could not fit" in said


def test_more_time_goes_on_with_what_time_had_cut_off():
    story = _wave().add("wave", members=["a", "b", "c"])
    story.trained("b", 71.0, 72.0).skipped("b", 3)
    story.trained("b", 73.0, 74.0, why="time").skipped("b", 5).add("end", why="time")
    assert story.next() == Train("b", 9)
    assert story.next(Limits(10**6, None, 0.5, story.events[-1]["elapsed"])) == End("time")


def test_a_delivery_that_is_gone_from_the_disk_counts_no_more():
    story = _delivered(Story().candidate("a").trained("a", 88.0), "a", 88.0, 1)
    assert story.next() == Ask()
    story.add("lost", folder="points/a-int8-e1")
    assert results.found(story.events, FREE, 89.0).best is None
    # It is made once more.
    assert story.next() == Deliver("a", "int8")
    _delivered(story, "a", 88.0, 1)
    assert results.found(story.events, FREE, 89.0).best == "a-int8" and story.next() == Ask()
