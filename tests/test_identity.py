"""What trained weights are known by: values and files count, names and defaults do not, and what
older releases kept is still found."""

import sys
from dataclasses import dataclass, field, replace

import pytest

from compress import pipeline, plan, recipe
from compress.inputs import uniform, view
from compress.steps.work import Work
from compress.teacher import identity as identity_of_teacher, obtain
from compress.training.curves import Curves
from teachers import networks, storage
from teachers.errors import CheckpointError
from teachers.weights import checkpoints, identity
from teachers.weights.identity import ADDED, Identity

# Made by the code of a8ace82 from the recipes of that commit, 12 + 12 clips and the data set's
# fingerprint "data": the key of the first teacher, and that of the last step, in which all others
# are. One that differs says that a class of a recipe or a spec has a new `repr` (declare a new field
# with `repr=False` and `metadata=ADDED`) or that a default has another value (give the new one a new
# name instead: what was trained under the old default would be taken for the new).
OLDER = {
    "ctrgcn_light_v1": ["419ea1da71ad7b42", "d82e91801762d123"],
    "ctrgcn_light_v2": ["8312e3b41ebc8179", "c69395bfecf03ffa"],
    "ctrgcn_lite_4stream_kd": ["a90c6c210e54f86c", "fe5989ef80b1cbf7"],
    "ctrgcn_lite_dml": ["948a9d9046eead46", "199b40ccd62fab57"],
    "ctrgcn_lite_dml_int8": ["948a9d9046eead46", "c7651e3daab334d4"],
    "ctrgcn_lite_two_stage": ["d75bec29664dc225", "8e69f21c6cb468dd"],
    "efficientgcn_b0": ["b7a26efff023d7b6", "ba6f7654ac410e53"],
    "efficientgcn_b0_dml": ["d75bec29664dc225", "1c9de5acf19824df"],
    "efficientgcn_b0_int8": ["9622f57a0b278cb8", "4750bb46241bdff5"],
    "stgcn": ["8509787bdc98011a", "06321c0eb90bfb84"],
    "stgcnpp": ["1a3f2fafa4304635", "ba6a2ea06fdd0611"],
    "stgcnpp_dml": ["1a3f2fafa4304635", "173a9f645736148e"],
}


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5


@dataclass(frozen=True)
class Config:
    epochs: int
    lr: float = 0.1
    milestones: tuple[int, ...] = ()
    inner: Inner | None = None


def newer(**changes):
    """A `Config` of a later release, which has two more keys."""

    @dataclass(frozen=True)
    class Config:
        epochs: int
        lr: float = 0.1
        milestones: tuple[int, ...] = ()
        inner: Inner | None = None
        ema: float | None = field(default=None, repr=False, metadata=ADDED)
        names: tuple[str, ...] = field(default_factory=tuple, repr=False, metadata=ADDED)

    # Python writes the place of a local class into its `repr`; a module's class has none
    Config.__qualname__ = "Config"
    return Config(**{"epochs": 3, **changes})


def test_new_keys_at_their_defaults_change_nothing():
    assert identity.of([newer()]) == identity.of([Config(3)])
    assert identity.of([newer()]).legacy == identity.digest(
        ["Config(epochs=3, lr=0.1, milestones=(), inner=None)"]
    )


def test_a_new_key_that_is_set_is_another_thing_to_both_keys():
    changed = identity.of([newer(ema=0.9)])
    assert changed.key != identity.of([newer()]).key and changed.legacy is None
    assert not changed.accepts(identity.of([Config(3)]).legacy)


@pytest.mark.parametrize(
    "changed",
    [
        Config(4),
        Config(3, lr=0.1000001),
        Config(3, milestones=(1,)),
        Config(3, milestones=(1, 2)),
        Config(3, inner=Inner()),
        Config(3, inner=Inner(0.25)),
    ],
)
def test_every_changed_value_changes_both_keys(changed):
    before = identity.of([Config(3), "data", 1])
    after = identity.of([changed, "data", 1])
    assert before.key != after.key and before.legacy != after.legacy


def test_values_of_one_field_do_not_pass_for_those_of_another():
    keys = [
        identity.of(parts).key
        for parts in ([Config(1)], [[1]], [1], ["1"], [1.0], [True], [None], [], [Config(1), None])
    ]
    assert len(set(keys)) == len(keys)


def test_what_has_no_canonical_form_is_refused():
    with pytest.raises(TypeError, match="a object has no canonical form; give plain data"):
        identity.of([object()])


def test_both_keys_are_accepted_and_nothing_else():
    known = Identity("new", "old")
    assert known.accepts("new") and known.accepts("old")
    assert not known.accepts("other") and not known.accepts(None)
    assert not Identity("new").accepts(None)


def test_a_view_is_known_by_the_keys_that_differ(tiny_dataset):
    usual = view.build("uniform", uniform.Config(normalise="none"), tiny_dataset)
    assert usual.identity.accepts(usual.fingerprint)
    assert usual.identity.accepts(usual.legacy_fingerprint)
    other = view.build("uniform", uniform.Config(normalise="none", clips=2), tiny_dataset)
    assert not other.identity.accepts(usual.fingerprint)
    assert not other.identity.accepts(usual.legacy_fingerprint)


def planned(name, *overrides):
    loaded = recipe.load(name, ["data.train_clips=12", "data.val_clips=12", *overrides])
    return plan.make(loaded, replace(plan.load_data(loaded), fingerprint="data"))


@pytest.mark.parametrize("name", sorted(OLDER))
def test_keys_of_older_releases_are_found(name):
    made = planned(name)
    teacher = identity_of_teacher(made.teachers[0], made.recipe.seed)
    origin = pipeline.origin(made)
    for step in made.steps:
        if step.entry.enabled:
            origin = pipeline.after_step(origin, step)
    assert [teacher.legacy, origin.legacy] == OLDER[name]


def test_a_recipe_in_two_files_finds_the_teacher_of_the_same_in_one(tmp_path):
    top = tmp_path / "top.yaml"
    top.write_text("extends: ctrgcn_lite_dml\nteacher: {train: {lr: 0.1}}\n")
    (in_two,) = planned(top).teachers
    (in_one,) = planned("ctrgcn_lite_dml", "teacher.train.lr=0.1").teachers
    (other,) = planned("ctrgcn_lite_dml").teachers
    keys = [identity_of_teacher(teacher, 1).key for teacher in (in_two, in_one, other)]
    assert keys[0] == keys[1] != keys[2]


def test_a_run_of_before_a_new_key_may_be_resumed():
    loaded = recipe.load("ctrgcn_lite_dml")
    before = recipe.to_dict(loaded)
    assert recipe.changed_since(loaded, before) == []
    del before["teacher"]["train"]["ema"]  # at its default, so it may be a key of this release
    assert recipe.changed_since(loaded, before) == []
    changed = recipe.load("ctrgcn_lite_dml", ["teacher.train.ema=0.9"])
    assert recipe.changed_since(changed, before) == [("teacher.train.ema", None, 0.9)]
    before["teacher"]["train"]["lr"] = 0.5
    lr = loaded.teacher.members[0].train.lr
    assert recipe.changed_since(loaded, before) == [("teacher.train.lr", 0.5, lr)]


TINY = ("teacher.width=8", "teacher.train.epochs=1", "teacher.train.warmup_epochs=0")


def test_a_teacher_kept_by_an_older_release_is_reused(tmp_path):
    made = planned("ctrgcn_lite_dml", *TINY)
    (teacher,) = made.teachers
    key = identity_of_teacher(teacher, made.recipe.seed)
    path = tmp_path / "teachers" / f"ctrgcn-{key.legacy}.npz"
    checkpoints.save(path, networks.build(teacher.spec), {"history": [], "best_epoch": 1})
    work = Work(tmp_path, made.dataset, Curves(tmp_path / "curves"), made.recipe.seed, key)
    assert obtain(teacher, work, tmp_path / "teachers").origin == f"reused: {path}"


opened = []
sys.addaudithook(lambda event, details: opened.append(str(details[0])) if event == "open" else None)


@pytest.fixture
def run_without_export(tmp_path, monkeypatch):
    """(a function that runs a recipe up to its export, the weights file that it starts from)."""
    monkeypatch.setattr(pipeline, "deliver", lambda *arguments: None)
    monkeypatch.setattr(pipeline, "write_report", lambda *arguments: None)
    file = tmp_path / "net.npz"
    checkpoints.save(file, networks.build(planned("ctrgcn_lite_dml", *TINY).teachers[0].spec))
    loaded = recipe.load(
        "ctrgcn_lite_dml",
        [
            "data.train_clips=12",
            "data.val_clips=12",
            "teacher.width=8",
            f"teacher.weights={file}",
            f"student.weights={file}",
            "steps.train.enabled=false",
        ],
    )

    def run():
        pipeline.execute(pipeline.Run(loaded, tmp_path / "run", tmp_path / "teachers", "typed"))

    return run, file


def test_a_weights_file_is_opened_once_and_must_stay_the_same(run_without_export, tmp_path, capsys):
    run, file = run_without_export
    opened.clear()
    run()
    assert opened.count(str(file)) == 1  # by the teacher, its hash and the student together
    run()
    assert "step 1: was finished before" in capsys.readouterr().err

    network = checkpoints.load(file)
    checkpoints.save(file, networks.build(network.spec))
    with pytest.raises(
        CheckpointError, match=r"net.npz: has changed since .*run was started \(SHA"
    ):
        run()
    # Without the list of hashes, as a run of an older release has none, the step's own key tells
    (tmp_path / "run" / "state" / "weights.json").unlink()
    with pytest.raises(CheckpointError, match="step1_student.npz: belongs to another recipe"):
        run()


def test_a_kept_teacher_must_stay_the_same_too(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "deliver", lambda *arguments: None)
    monkeypatch.setattr(pipeline, "write_report", lambda *arguments: None)
    clips = ["data.train_clips=12", "data.val_clips=12"]
    loaded = recipe.load("ctrgcn_lite_dml", [*clips, *TINY, "steps=[]"])
    run = pipeline.Run(loaded, tmp_path / "run", tmp_path / "teachers", "typed")
    pipeline.execute(run)
    (kept,) = (tmp_path / "teachers").glob("*.npz")
    before = kept.read_bytes()
    network, about = checkpoints.load_with_about(kept)
    checkpoints.save(kept, networks.build(network.spec), about)
    with pytest.raises(CheckpointError, match=f"{kept.name}: has changed since"):
        pipeline.execute(run)
    kept.write_bytes(before)
    pipeline.execute(run)
    # Trained again by this very run, it is right whatever it was.
    kept.unlink()
    pipeline.execute(run)


def test_a_step_finished_by_an_older_release_is_not_done_again(
    run_without_export, tmp_path, capsys, monkeypatch
):
    run, _ = run_without_export
    run()
    path = tmp_path / "run" / "state" / "step1_student.npz"
    arrays, meta = storage.read_arrays(path)
    recorded = meta["about"]["origin"]
    made = []
    after_step = pipeline.after_step
    monkeypatch.setattr(
        pipeline, "after_step", lambda *given: made.append(after_step(*given)) or made[-1]
    )
    run()
    assert made[0].key == recorded != made[0].legacy
    meta["about"]["origin"] = made[0].legacy
    storage.write_arrays(path, arrays, meta)
    capsys.readouterr()
    run()
    assert "step 1: was finished before" in capsys.readouterr().err
