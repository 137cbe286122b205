"""The training loop: who moves and who does not, every method, exact resume, non-finite losses."""

import dataclasses

import numpy as np
import paddle
import pytest

from compress.evaluation.evaluate import EvaluationSet
from compress.inputs import crop_resize, view as views
from compress.inputs.augmentation import Augmentation, DropJoint
from compress.steps.train import title
from compress.training import finite, fit as loop, objectives
from compress.training.curves import FILE_NAME, Curves, read_records
from compress.training.model import Model
from compress.training.settings import Config, Dml, Focal, Kd, Mixup, moves_teacher
from compress.training.watch import Watch
from teachers import networks, storage
from teachers.errors import CheckpointError, TrainingError
from teachers.weights import identity

METHODS = {
    "plain": Config(epochs=1, lr=0.05, batch_size=8),
    "mixup": Config(epochs=1, lr=0.05, batch_size=8, mixup=Mixup(0.5), label_smoothing=0.1),
    "one_way": Config(epochs=1, lr=0.05, batch_size=8, dml=Dml(1.0, freeze_teacher=True)),
    "mutual": Config(epochs=1, lr=0.05, batch_size=8, dml=Dml(1.0, freeze_teacher=False)),
    "focal": Config(epochs=1, lr=0.05, batch_size=8, focal=Focal(0.99, 2.0), mixup=Mixup(0.5)),
    "focal_flat": Config(epochs=1, lr=0.05, batch_size=8, focal=Focal(0.999, 0.0)),
    "focal_half": Config(epochs=1, lr=0.05, batch_size=8, focal=Focal(0.999, 0.5)),
    "balanced": Config(epochs=1, lr=0.05, batch_size=8, class_weights="balanced"),
    "kd": Config(epochs=1, lr=0.05, batch_size=8, kd=Kd(1.0, 4.0)),
    "repeated": Config(epochs=1, lr=0.05, batch_size=8, repeat=2),
    "clipped_steps_ema": Config(
        epochs=1, lr=0.05, batch_size=8, clip_norm=0.5, schedule="step", milestones=(1,), ema=0.9
    ),
}


@pytest.fixture
def tiny_job(tiny_dataset, tiny_spec, tiny_view, tmp_path):
    """(config, folder) -> (a job on the tiny data, its teacher)."""
    return lambda config, folder=tmp_path, seed=3: job(
        config, tiny_dataset, tiny_view, tiny_spec, folder, seed
    )


def job(config, dataset, view, spec, folder, seed=3, runtime="auto"):
    paddle.seed(seed)
    student, teacher = networks.build(spec), networks.build(spec)
    moving = moves_teacher(config)
    needed = config.dml is not None or config.kd is not None
    trained = {"student": Model(student, view)} | (
        {"teacher": Model(teacher, view)} if moving else {}
    )
    frozen = {"teacher": (Model(teacher, view),)} if needed and not moving else {}
    objective = objectives.build(config, counts=objectives.class_counts(dataset))
    return (
        loop.Job(
            "test",
            trained,
            frozen,
            config,
            objective,
            dataset,
            lambda one: EvaluationSet(dataset.val, one),
            seed,
            folder / "state.npz",
            identity.of([config]),
            Watch(Curves(folder / "curves"), "test"),
            frozen_runtime=runtime,
        ),
        teacher,
    )


def state(network):
    return {name: value.copy() for name, value in networks.state_of(network).items()}


def equal(one, other):
    return one.keys() == other.keys() and all(
        np.array_equal(one[name], other[name]) for name in one
    )


@pytest.mark.parametrize("name", METHODS)
def test_every_method_trains(name, tiny_job, tmp_path):
    config = METHODS[name]
    one, teacher = tiny_job(config)
    before, teacher_before = state(one.networks["student"]), state(teacher)
    progress = loop.fit(one)
    after = state(one.networks["student"])
    assert not equal(before, after)
    assert not np.array_equal(before["l1.graph.bn._mean"], after["l1.graph.bn._mean"])
    assert equal(teacher_before, state(teacher)) != moves_teacher(config)
    assert np.isfinite(progress.history[0]["train"]["loss"])
    assert {"student/top1", "student/top5", "student/class_mean"} <= progress.history[0][
        "val"
    ].keys()
    assert ("teacher/top1" in progress.history[0]["val"]) == moves_teacher(config)


def test_mixup_blends_clips_and_labels_by_the_same_share(
    tiny_dataset, tiny_view, tiny_spec, tmp_path, monkeypatch
):
    """Every clip shows its own label, so what a blended clip shows is the label it must have."""
    train = tiny_dataset.train
    clips = []
    for label in train.labels:
        clip = np.zeros((3, 8, 5, 2), "float32")
        clip[:, :, label] = 1.0
        clips.append(clip)
    dataset = dataclasses.replace(tiny_dataset, train=dataclasses.replace(train, clips=clips))
    view = dataclasses.replace(tiny_view, augment=lambda clip, rng: clip)
    config = Config(epochs=1, lr=0.05, batch_size=8, mixup=Mixup(0.5))
    original = loop.Trainer.step
    shown, taught = [], []

    def recording(self, batch, labels, *others):
        shown.append(batch[view.fingerprint].numpy()[:, 0, 0, :3, 0])
        taught.append(labels.numpy())
        return original(self, batch, labels, *others)

    monkeypatch.setattr(loop.Trainer, "step", recording)
    loop.fit(job(config, dataset, view, tiny_spec, tmp_path)[0])
    shares = np.concatenate(taught)
    # A share of one half, or of a clip with one of its own class, would hide labels blended by
    # 1 - lambda.
    assert ((shares > 0.05) & (shares < 0.4)).any()
    np.testing.assert_allclose(shares, np.concatenate(shown), atol=1e-6)


def test_frozen_teacher_never_moves_batchnorm_included(tiny_job, tmp_path):
    one, teacher = tiny_job(METHODS["one_way"])
    teacher.train()
    before = state(teacher)
    loop.fit(one)
    assert equal(before, state(teacher)) and not teacher.training


def test_learns_the_tiny_classes(tiny_job, tmp_path):
    one, _ = tiny_job(Config(epochs=12, lr=0.1, batch_size=8, warmup_epochs=1))
    history = loop.fit(one).history
    assert max(record["val"]["student/top1"] for record in history) >= 85
    assert history[-1]["train"]["loss"] < 0.5 * history[0]["train"]["loss"]


def test_student_ends_with_its_best_epoch(tiny_job, tmp_path):
    one, _ = tiny_job(Config(epochs=4, lr=0.1, batch_size=8))
    progress = loop.fit(one)
    tops = [record["val"]["student/top1"] for record in progress.history]
    assert tops[progress.best_epoch - 1] == max(tops)
    assert equal(state(one.networks["student"]), progress.best)


@pytest.mark.parametrize("tops, best", [((50, 40, 49), 0), ((50, 50, 49), 1), ((50, 60, 70), 2)])
def test_what_the_learner_came_with_may_be_the_best(tops, best, tiny_job, monkeypatch):
    """Also after a kill between the two epochs: the start is not judged again."""
    config, seen = Config(epochs=2, lr=0.1, batch_size=8), []

    def judged(trainer):
        seen.append(state(trainer.job.networks["student"]))
        top1 = float(tops[len(seen) - 1])
        figures = {"student/top1": top1, "student/top5": top1, "student/loss": 1.0}
        classes = len(trainer.job.dataset.classes)
        return figures, np.zeros((len(trainer.job.dataset.val.names), classes), "float32")

    def killed(record):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "_validate", judged)
    one = dataclasses.replace(tiny_job(config)[0], start_counts=True)
    one.watch.epoch = killed
    with pytest.raises(KeyboardInterrupt):
        loop.fit(one)
    again = dataclasses.replace(tiny_job(config, seed=4)[0], start_counts=True, seed=3)
    progress = loop.fit(again)
    assert (progress.best_epoch, progress.start, len(seen)) == (best, 50.0, 3)
    assert equal(state(again.networks["student"]), seen[best])


@pytest.fixture
def augmented_job(tiny_dataset, tiny_spec):
    """As `tiny_job`, with every training step that the tiny skeleton allows."""
    steps = Augmentation(
        joint_jitter=0.1, drop_frames=0.5, drop_axis=0.5, drop_joint=DropJoint(0.5)
    )
    view = views.build("crop_resize", crop_resize.Config(frames=8, augment=steps), tiny_dataset)
    return lambda config, folder, seed=3: job(config, tiny_dataset, view, tiny_spec, folder, seed)


@pytest.mark.parametrize("name", ["mixup", "mutual", "clipped_steps_ema", "repeated"])
def test_interrupted_training_continues_bit_for_bit(
    name, tiny_job, augmented_job, tmp_path, monkeypatch
):
    config = METHODS[name].__class__(**{**METHODS[name].__dict__, "epochs": 3})
    if name == "repeated":
        tiny_job = augmented_job
    whole, whole_teacher = tiny_job(config, tmp_path / "whole")
    expected = loop.fit(whole)
    first, _ = tiny_job(config, tmp_path / "cut")
    steps = iter(range(100))
    original = loop.Trainer.step

    def stops_in_the_second_epoch(self, *arguments):
        if next(steps) == 6 * config.repeat:
            raise KeyboardInterrupt
        return original(self, *arguments)

    monkeypatch.setattr(loop.Trainer, "step", stops_in_the_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        loop.fit(first)
    monkeypatch.setattr(loop.Trainer, "step", original)
    again, again_teacher = tiny_job(config, tmp_path / "cut")
    for network in again.networks.values():  # whatever the new process starts from must not matter
        networks.load_state(
            network, {key: value * 0 + 1 for key, value in state(network).items()}, "test"
        )
    found = loop.fit(again)
    strip = [
        {key: value for key, value in record.items() if key != "seconds"}
        for record in expected.history
    ]
    assert [
        {key: value for key, value in record.items() if key != "seconds"}
        for record in found.history
    ] == strip
    assert equal(state(whole.networks["student"]), state(again.networks["student"]))
    if name == "mutual":
        assert equal(state(whole_teacher), state(again_teacher))


def test_repeat_is_so_many_passes_each_with_its_own_augmentation(
    tiny_dataset, tiny_view, tiny_spec, tmp_path
):
    drawn = {}

    def augment(clip, rng):
        drawn.setdefault(clip.tobytes(), []).append(float(rng.random()))
        return clip

    view = dataclasses.replace(tiny_view, augment=augment)
    config = Config(epochs=1, lr=0.05, batch_size=8, repeat=3)
    one, _ = job(config, tiny_dataset, view, tiny_spec, tmp_path)
    rates = []
    original = loop.Trainer.step

    def watched(self, batch, labels, lr, *others):
        rates.append(lr)
        return original(self, batch, labels, lr, *others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Trainer, "step", watched)
        (record,) = loop.fit(one).history
    assert sorted(drawn) == sorted(clip.tobytes() for clip in tiny_dataset.train.clips)
    assert all(len(set(numbers)) == 3 for numbers in drawn.values())
    # One epoch of 78 clips: the cosine ends with it, and top-1 is a share of all of them
    assert len(rates) == 10
    assert rates[-1] < 0.05 * rates[0]
    assert 0 <= record["train"]["student/top1"] <= 100


def test_a_split_repeated_keeps_its_clips_and_labels_together(tiny_dataset):
    train = tiny_dataset.train
    assert train.repeated(1) is train
    twice = train.repeated(2)
    assert len(twice) == len(twice.clips) == len(twice.labels) == 52
    for index in (0, 25, 26, 51):
        assert twice.clips[index] is train.clips[index % 26]
        assert twice.labels[index] == train.labels[index % 26]
        assert twice.names[index] == train.names[index % 26]


def test_resuming_under_other_settings_is_refused(tiny_job, tmp_path):
    one, _ = tiny_job(METHODS["plain"])
    loop.fit(one)
    other, _ = tiny_job(METHODS["mixup"])
    with pytest.raises(CheckpointError, match="state.npz: was written under other settings"):
        loop.fit(other)


def test_non_finite_loss_stops_and_keeps_the_last_epoch(tiny_job, tmp_path, monkeypatch):
    one, _ = tiny_job(Config(epochs=3, lr=0.05, batch_size=8))
    original, steps = objectives.cross_entropy, iter(range(100))
    monkeypatch.setattr(
        objectives,
        "cross_entropy",
        lambda *given: original(*given) * (float("nan") if next(steps) == 5 else 1.0),
    )
    with pytest.raises(
        TrainingError,
        match=(
            r"test: the loss became nan in epoch 2, .*the state after epoch 1 is kept in"
            r" .*state.npz"
        ),
    ):
        loop.fit(one)
    monkeypatch.setattr(objectives, "cross_entropy", original)
    again, _ = tiny_job(Config(epochs=3, lr=0.05, batch_size=8))
    assert len(loop.fit(again).history) == 3


def test_a_layer_that_is_lost_without_a_trace_in_the_loss_stops_the_training(tiny_job, monkeypatch):
    one, _ = tiny_job(Config(epochs=2, lr=0.05, batch_size=8))
    original = loop.Trainer.step

    def spoiling(self, *arguments):
        result = original(self, *arguments)
        statistics = self.job.networks["student"].state_dict()["l1.graph.bn._mean"]
        statistics.set_value(paddle.full(statistics.shape, float("nan")))
        return result

    monkeypatch.setattr(loop.Trainer, "step", spoiling)
    monkeypatch.setattr(finite, "check_loss", lambda *arguments: None)
    with pytest.raises(
        TrainingError,
        match=r"test: student: l1.graph.bn._mean is not finite after epoch 1; no epoch was finished",
    ):
        loop.fit(one)


@pytest.mark.parametrize("name", ["student/fc.weight", "velocity/student/fc.weight"])
def test_a_state_that_is_not_finite_is_not_resumed(name, tiny_job, tmp_path):
    config = Config(epochs=1, lr=0.05, batch_size=8)
    loop.fit(tiny_job(config)[0])
    path = tmp_path / "state.npz"
    arrays, meta = storage.read_arrays(path)
    arrays[name] = arrays[name] * np.float32("nan")
    storage.write_arrays(path, arrays, meta)
    with pytest.raises(CheckpointError, match=r"state.npz: .*fc.weight holds NaN"):
        loop.fit(tiny_job(config)[0])


def test_titles_are_honest():
    assert "one-way distillation" in title(METHODS["one_way"]) and "mutual" not in title(
        METHODS["one_way"]
    )
    assert "mutual learning, both networks trained" in title(METHODS["mutual"])


def test_an_ensemble_of_streams_teaches_and_stays_frozen(
    tiny_dataset, tiny_spec, tiny_view, tmp_path
):
    """Members see the same augmented clip through views of their own; the student sees its own."""
    halved = dataclasses.replace(
        tiny_view, augment=lambda clip, rng: tiny_view.augment(clip, rng) / 2, fingerprint="halved"
    )
    one, _ = job(METHODS["one_way"], tiny_dataset, tiny_view, tiny_spec, tmp_path)
    members = tuple(
        Model(networks.build(tiny_spec), view, weight)
        for view, weight in ((tiny_view, 3.0), (halved, 1.0))
    )
    one = dataclasses.replace(one, frozen={"teacher": members})
    seen, original = [], loop.Trainer.step

    def watched(self, batch, labels, lr, *others):
        parts, logits = original(self, batch, labels, lr, *others)
        with paddle.no_grad():
            by_hand = 0.75 * members[0].network(batch["tiny view"]) + 0.25 * members[1].network(
                batch["halved"]
            )
        seen.append((batch, float((by_hand - logits["teacher"]).abs().max())))
        return parts, logits

    before = [state(member.network) for member in members]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Trainer, "step", watched)
        loop.fit(one)
    assert all(
        equal(*pair)
        for pair in zip(before, [state(member.network) for member in members], strict=True)
    )
    assert seen and all(difference < 1e-5 for _, difference in seen)
    assert all(
        np.allclose(batch["tiny view"].numpy(), 2 * batch["halved"].numpy(), atol=1e-6)
        for batch, _ in seen
    )


def test_curves_of_a_killed_training_have_no_gap_and_no_point_twice(tiny_job, tmp_path):
    """Killed after the curves of epoch 2 were written, before its state was saved."""

    def steps_of(folder):
        points = {}
        for _, tag, step in read_records(folder / "curves" / "test" / FILE_NAME):
            points.setdefault(tag, []).append(step)
        return points

    config = Config(epochs=3, lr=0.05, batch_size=8)
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    loop.fit(tiny_job(config, tmp_path / "whole")[0])
    killed, _ = tiny_job(config, tmp_path / "killed")
    draw = killed.watch.draw

    def die_after_the_second(result):
        draw(result)
        if result.record["epoch"] == 2:
            raise KeyboardInterrupt

    killed.watch.draw = die_after_the_second
    with pytest.raises(KeyboardInterrupt):
        loop.fit(killed)
    loop.fit(tiny_job(config, tmp_path / "killed")[0])
    whole = steps_of(tmp_path / "whole")
    assert steps_of(tmp_path / "killed") == whole
    assert whole["loss/student, validation"] == whole["confusion/validation"] == [1, 2, 3]
    batches = whole["loss/each batch"]
    assert batches == list(range(1, len(batches) + 1)) and len(batches) > 3
    assert whole["precision and recall/mean of the classes"] == [1, 2, 3]
    assert any(tag.startswith("weights/") for tag in whole)
