"""`streams:` of a recipe: what a run ships, on long recordings."""

from __future__ import annotations

from pathlib import Path

from compress.data.dataset import Dataset
from compress.evaluation.stream_settings import Config
from compress.evaluation.streams import trial
from compress.evaluation.streams.record import Streams
from export import deployed
from export.formats import table

PADDLE = "paddle"


def judge(run: Path, config: Config, dataset: Dataset, seed: int) -> Streams:
    """Every file of a run's `deploy/`, and the teacher that is exported beside it; the alarm rule that
    was found for what follows live poses goes into `deployed.json`, unless no rule has an alarm of a
    single action."""
    folder = run / "deploy"
    files = deployed.read(folder).files
    # Paddle follows where nothing else does: its scores are the same, and everything costs more.
    kinds = [kind for kind in files if kind != PADDLE] or list(files)
    targets = {table.runtime_title(kind): folder / files[kind][0] for kind in kinds}
    # Of an ensemble every network has a folder.
    if (run / "teacher" / deployed.NAME).is_file():
        targets = {"teacher": run / "teacher"} | targets
    found = trial.run(targets, config, dataset, seed)
    usual = deployed.follows_by(folder) or deployed.read_for(folder)[1]
    rule = next(each for each in found.followed if each.name == table.runtime_title(usual))
    if trial.reached(rule, config.sensitivity) > 0:
        trial.write_defaults(folder, trial.rule_of(rule, config.sensitivity))
    return found
