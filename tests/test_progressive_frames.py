"""Training on fewer frames first."""

from dataclasses import replace

import numpy as np
import paddle
import pytest
from test_fit import equal, job, state

from compress import task
from compress.steps import qat
from compress.training import fit as loop, schedule, trainer
from compress.training.model import Model
from compress.training.settings import Config, Dml, Shortened
from teachers.errors import RecipeError
from teachers.weights import identity

STAGES = (Shortened(4, 0.5), Shortened(6, 0.75))
PLAIN = Config(epochs=1, lr=0.05, batch_size=8)


@pytest.mark.parametrize(
    "epochs, seen",
    [
        (8, [4, 4, 4, 4, 6, 6, None, None]),
        # Rounded down: however few epochs there are, the last one is of whole clips.
        (3, [4, 6, None]),
        (1, [None]),
    ],
)
def test_the_last_epochs_see_whole_clips(epochs, seen):
    config = replace(PLAIN, epochs=epochs, progressive_frames=STAGES)
    assert [schedule.frames(config, epoch) for epoch in range(epochs)] == seen


@pytest.mark.parametrize(
    "whole, frames, picked", [(8, 4, [1, 3, 5, 7]), (10, 4, [1, 3, 6, 8]), (6, 8, range(6))]
)
def test_frames_are_picked_evenly(whole, frames, picked):
    clips = np.arange(whole, dtype="float32").reshape(1, 1, whole, 1, 1)
    short = trainer.shortened(paddle.to_tensor(clips), frames).numpy()
    assert short.reshape(-1).tolist() == list(picked)


def frames_by_role(config, tiny, tmp_path, monkeypatch):
    """(role, in training, frames) of every forward pass of a training, in order."""
    work, _ = job(config, *tiny, tmp_path)
    student = work.networks["student"]
    forward = Model.__call__
    seen = []

    def watched(model, batch):
        frames = batch[model.view.fingerprint].shape[2]
        role = "student" if model.network is student else "teacher"
        seen.append((role, frames))
        return forward(model, batch)

    monkeypatch.setattr(Model, "__call__", watched)
    progress = loop.fit(work)
    return seen, progress


@pytest.fixture
def tiny(tiny_dataset, tiny_view, tiny_spec):
    return tiny_dataset, tiny_view, tiny_spec


def test_a_student_sees_short_clips_and_its_frozen_teacher_whole_ones(tiny, tmp_path, monkeypatch):
    config = replace(PLAIN, epochs=2, dml=Dml(), progressive_frames=(Shortened(4, 0.5),))
    seen, progress = frames_by_role(config, tiny, tmp_path, monkeypatch)
    batches = len(seen) // 4
    assert (
        seen
        == [("teacher", 8), ("student", 4)] * batches
        + [
            ("teacher", 8),
            ("student", 8),
        ]
        * batches
    )
    assert len(progress.history) == 2


def test_a_training_killed_among_short_epochs_resumes_bit_for_bit(tiny, tmp_path, monkeypatch):
    config = replace(PLAIN, epochs=4, progressive_frames=STAGES)
    whole, _ = job(config, *tiny, tmp_path / "whole")
    loop.fit(whole)
    killed, _ = job(config, *tiny, tmp_path / "killed")
    epoch = loop.run_epoch

    def dies(trainer, number):
        if number == 2:
            raise KeyboardInterrupt
        return epoch(trainer, number)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "run_epoch", dies)
        with pytest.raises(KeyboardInterrupt):
            loop.fit(killed)
    resumed, _ = job(config, *tiny, tmp_path / "killed")
    loop.fit(resumed)
    assert equal(state(resumed.networks["student"]), state(whole.networks["student"]))
    plain, _ = job(replace(PLAIN, epochs=4), *tiny, tmp_path / "plain")
    loop.fit(plain)
    assert not equal(state(plain.networks["student"]), state(whole.networks["student"]))


@pytest.mark.parametrize(
    "stages, message",
    [
        ([(4, 0.5), (4, 0.7)], "must grow from stage to stage"),
        ([(4, 0.5), (6, 0.5)], "must grow from stage to stage"),
        ([(4, 1.0)], "until: must be between 0 and 1"),
        ([(3, 0.5)], "frames: must be at least 4"),
    ],
)
def test_impossible_stages_are_refused(stages, message):
    with pytest.raises(ValueError, match=message):
        replace(PLAIN, progressive_frames=tuple(Shortened(*stage) for stage in stages))


def test_a_stage_as_long_as_the_clips_is_said_before_the_work(tiny_spec):
    config = replace(PLAIN, progressive_frames=(Shortened(4, 0.5), Shortened(8, 0.8)))
    with pytest.raises(
        RecipeError, match=r"train\.progressive_frames\[1\]\.frames: 8 .* the 8 frames"
    ):
        task.check_frames("train", config, tiny_spec)


def test_a_rounded_training_sees_the_clips_it_was_calibrated_on():
    with pytest.raises(ValueError, match="progressive_frames: only in a `train` step"):
        qat.Config(train=replace(PLAIN, progressive_frames=STAGES))


def test_whole_clips_alone_change_no_identity():
    assert identity.of([PLAIN]) == identity.of([replace(PLAIN, progressive_frames=())])
    assert identity.of([PLAIN]) != identity.of([replace(PLAIN, progressive_frames=STAGES)])
