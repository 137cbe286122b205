"""PYSKL's and mmaction2's `result.pkl`: what is written is what their tools read, and theirs is
read without torch; the accuracy command as the seeds' `--test`."""

from __future__ import annotations

import io
import json
import pickle
import sys
from types import ModuleType

import numpy as np
import pytest

from benchmarks import fusion
from compress.cli import accuracy
from compress.evaluation import result_files, scores
from compress.evaluation.evaluate import softmax, split_result
from compress.evaluation.result_files import FORMATS, load, save
from teachers import networks, stgcnpp, storage
from teachers.errors import CheckpointError, DataError
from teachers.skeleton import NTU_25
from teachers.weights import checkpoints

NAMES = ("a", "b", "c")
LABELS = np.array([0, 1, 1])
LOGITS = np.array([[2, 0], [1, 0], [0, 3]], "float32")
SCORES = scores.Scores("ours", NAMES, LABELS, LOGITS)


def read(path, names=NAMES, labels=LABELS, classes=2):
    return load(path, tuple(names), np.asarray(labels), classes)


def refused(path, content=None, **keys) -> str:
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, 2))
    with pytest.raises(DataError) as caught:
        read(path, **keys)
    return str(caught.value).removeprefix(f"{path}: ")


class Torch(pickle._Pickler):
    """Writes arrays as `pickle.dump` writes torch tensors: each storage a legacy torch file."""

    def call(self, module: str, name: str, *arguments) -> None:
        self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
        self.save(arguments)
        self.write(pickle.REDUCE)

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Stored):
            self.call("torch.storage", "_load_from_bytes", obj.file())
        elif isinstance(obj, np.ndarray):
            step = (1,) * obj.ndim
            self.call(
                "torch._utils", "_rebuild_tensor_v2", Stored(obj), 0, obj.shape, step, False, {}
            )
        else:
            super().save(obj, save_persistent_id)


KINDS = {"f": b"FloatStorage", "i": b"LongStorage"}


class Stored:
    """A storage, and the torch file that it is within a pickle."""

    def __init__(self, array):
        self.array = array

    def file(self) -> bytes:
        machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}
        head = [pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, machine)]
        kind = b"ctorch\n" + KINDS[self.array.dtype.kind] + b"\n"
        elements = pickle.dumps(self.array.size, 2)[2:-1]
        reference = b"\x80\x02(X\x07\0\0\0storage" + kind + b"X\x01\0\0\x000X\x03\0\0\0cpu"
        reference += elements + b"NtQ."
        keys = pickle.dumps(["0"], 2)
        count = self.array.size.to_bytes(8, "little")
        return b"".join([*head, reference, keys, count, self.array.tobytes()])


def torch_bytes(content) -> bytes:
    file = io.BytesIO()
    Torch(file, 2).dump(content)
    return file.getvalue()


def theirs(rows=None):
    rows = softmax(LOGITS) if rows is None else rows
    return [
        {
            "pred_score": row,
            "pred_label": np.array([row.argmax()]),
            "gt_label": np.array([label]),
            "img_shape": (1080, 1920),
        }
        for row, label in zip(rows, LABELS, strict=True)
    ]


def test_pyskl_reads_what_is_written(tmp_path):
    save(tmp_path / "result.pkl", SCORES, "pyskl")
    # As PYSKL does; only numpy and built-in names are in it.
    content = pickle.loads((tmp_path / "result.pkl").read_bytes())
    assert isinstance(content, list) and [row.shape for row in content] == [(2,)] * 3
    np.testing.assert_array_equal(np.stack(content), softmax(LOGITS))
    assert all(row.dtype == np.float32 for row in content)


def test_mmaction2_reads_what_is_written(tmp_path, monkeypatch):
    class Tensor:
        def __init__(self, array):
            self.array = array

        def numpy(self):
            return self.array

        def size(self, axis):
            return self.array.shape[axis]

    torch = ModuleType("torch")
    torch.from_numpy = Tensor
    monkeypatch.setitem(sys.modules, "torch", torch)
    save(tmp_path / "result.pkl", SCORES, "mmaction2")
    content = pickle.loads((tmp_path / "result.pkl").read_bytes())
    # The calls of its report_accuracy.py and of its AccMetric.
    np.testing.assert_array_equal(
        np.stack([sample["pred_score"].numpy() for sample in content]), softmax(LOGITS)
    )
    assert [sample["gt_label"].numpy().tolist() for sample in content] == [[0], [1], [1]]
    assert [sample["pred_label"].numpy().tolist() for sample in content] == [[0], [0], [1]]
    assert content[0]["gt_label"].size(0) == 1


@pytest.mark.parametrize("form", FORMATS)
def test_a_round_trip(form, tmp_path):
    save(tmp_path / "result.pkl", SCORES, form)
    again = read(tmp_path / "result.pkl")
    np.testing.assert_array_equal(again.logits, softmax(LOGITS))
    assert (again.names, again.labels.tolist()) == (NAMES, [0, 1, 1])
    assert result_files.are_probabilities(again.logits)
    assert not result_files.are_probabilities(LOGITS)


def test_files_of_mmaction2_are_read_without_torch(tmp_path):
    path = tmp_path / "result.pkl"
    path.write_bytes(torch_bytes(theirs()))
    np.testing.assert_array_equal(read(path).logits, softmax(LOGITS))


def test_files_of_other_clips_are_refused(tmp_path):
    path = tmp_path / "result.pkl"
    assert "has label [1], the validation split 0" in refused(
        path, torch_bytes(theirs()), labels=[0, 0, 1]
    )
    assert refused(path, names="ab", labels=[0, 1]).startswith(
        "has scores of 3 clips, the validation split 2"
    )
    assert refused(path, classes=3).startswith("entry 0: has 2 scores")
    assert refused(path, [row * np.nan for row in LOGITS]).startswith("entry 0: has 2 scores, or")
    assert refused(path, {"a": 1}).startswith("expected a list")
    assert refused(path, [{"pred_scores": LOGITS[0]}] * 3).startswith("entry 0: has no pred_score")
    assert refused(path, ["a"] * 3).startswith("entry 0: expected an array of scores")


def test_nothing_in_a_file_runs(tmp_path):
    path = tmp_path / "result.pkl"
    assert "refuses to load 'os.system'" in refused(path, b"cos\nsystem\n(X\x02\0\0\0lstR.")
    whole = torch_bytes(theirs())
    # At each byte, the truncated torch files within included.
    for length in range(0, len(whole), 7):
        assert refused(path, whole[:length])
    bad = b"ctorch.storage\n_load_from_bytes\n(K\x01tR."
    assert "a storage made of a int" in refused(path, bad)
    assert "a tensor made of a int" in refused(path, b"ctorch\nfrom_numpy\n(K\x01tR.")


def test_the_same_bytes_again_and_again_are_counted(tmp_path):
    """Each naming of a storage reads it anew: of a megabyte, ten thousand times, that is hours."""
    storage_file = Stored(np.zeros(250_000, "<f4")).file()
    naming = b"0ctorch.storage\n_load_from_bytes\n(h\x00tR"
    content = b"B" + len(storage_file).to_bytes(4, "little") + storage_file + b"q\x00"
    path = tmp_path / "result.pkl"
    assert "far more than the file has" in refused(path, content + naming * 10_000 + b".")


def test_probabilities_and_logits_are_fused_on_one_scale():
    theirs = scores.Scores("theirs", NAMES, LABELS, softmax(LOGITS[::-1]))
    ours, other = fusion.on_one_scale([SCORES, theirs])
    np.testing.assert_array_equal(ours.logits, softmax(LOGITS))
    assert other is theirs
    assert fusion.on_one_scale([SCORES, SCORES]) == [SCORES, SCORES]
    assert fusion.on_one_scale([theirs, theirs]) == [theirs, theirs]


def test_a_split_as_the_seeds_sum_it_up():
    logits = np.eye(8, dtype="float32")[[0, 1, 2, 3]]
    # Ties keep the classes' order: the third clip's label is the fourth answer, the fourth's the
    # sixth.
    found = split_result(logits, np.array([0, 1, 3, 5]), seconds=0.5)
    assert (found.avg_acc1, found.avg_acc5) == (0.5, 0.75)
    assert (found.right, found.right_top5, found.clips) == (2, 3, 4)
    e = np.e
    expected = -np.log([e / (e + 7), e / (e + 7), 1 / (e + 7), 1 / (e + 7)]).mean()
    assert found.loss == pytest.approx(expected)
    assert found.sequences_per_second == 8
    assert split_result(logits, np.array([0, 1, 3, 5])).sequences_per_second is None


def fresh_network():
    config = stgcnpp.Config(width=6, stages=2)
    return networks.build(stgcnpp.default_spec(12, NTU_25, frames=16, persons=1, config=config))


@pytest.fixture
def run_folder(tmp_path):
    """A run's folder, as far as the command looks into it: a fresh network, and its recipe."""
    folder = tmp_path / "runs" / "tiny"
    checkpoints.save(folder / "weights" / "student.npz", fresh_network())
    storage.write_text(
        folder / accuracy.RECIPE,
        "data: {name: synthetic, train_clips: 12, val_clips: 12}\n"
        "teacher: {name: stgcnpp, width: 6, train: {epochs: 1, lr: 0.05}}\n"
        "budget: {max_size: 10MB}\n",
    )
    return folder


def test_the_command_as_the_seeds_test(run_folder, tmp_path, capsys):
    weights = run_folder / "weights" / "student.npz"
    dump = tmp_path / "result.pkl"
    other = weights.with_name("other.npz")
    checkpoints.save(other, fresh_network())
    assert accuracy.main([str(weights), str(other), "--json", "--dump", str(dump)]) == 0
    out, messages = capsys.readouterr()
    row, second = json.loads(out.splitlines()[-1])["rows"]
    # The scores are those of the first target.
    assert f"the scores of {row['name']}, 12 clips" in messages and row["loss"] != second["loss"]
    assert f"[TEST] finished, avg_acc1= {row['avg_acc1']}, avg_acc5= {row['avg_acc5']}" in out
    assert f"top-1 {row['right']}/12, top-5 {row['right_top5']}/12" in out
    assert row["avg_acc1"] == row["right"] / 12 == pytest.approx(row["top1"] / 100)
    assert row["sequences_per_second"] > 0 and row["loss"] > 0
    # What was dumped is what was counted: right answers, and their probabilities.
    content = np.stack(pickle.loads(dump.read_bytes()))
    labels = np.arange(12)
    assert content.shape == (12, 12) and (content.argmax(1) == labels).sum() == row["right"]
    assert -np.log(content[labels, labels]).mean() == pytest.approx(row["loss"], rel=1e-4)


def test_a_format_of_no_dump_is_refused(capsys):
    assert accuracy.main(["a.npz", "--dump-format", "mmaction2"]) == 1
    said = "--dump-format mmaction2: has no effect without --dump; leave it out, or name the file"
    assert said in capsys.readouterr().err


def test_a_folder_of_several_seeds_says_which_to_give(tmp_path):
    for folder in (tmp_path, tmp_path / "seed1", tmp_path / "seed2"):
        storage.write_text(folder / accuracy.RECIPE, "seeds: 2\n")
    with pytest.raises(CheckpointError, match="give one of them, such as .*seed1$"):
        accuracy.files_of(tmp_path)


def test_what_a_runs_folder_stands_for(run_folder, tmp_path):
    recipe = run_folder / accuracy.RECIPE
    with pytest.raises(CheckpointError, match="has deployed nothing yet"):
        accuracy.files_of(run_folder)
    model = run_folder / "deploy" / "model.onnx"
    storage.write_text(model, "")
    found = [accuracy.Files("onnx", (model,))]
    assert accuracy.files_of(run_folder) == accuracy.files_of(model.parent) == found
    # A folder of somebody's models, as a Mac leaves it.
    models = tmp_path / "models"
    models.mkdir()
    for name in ("net.onnx", "._net.onnx"):
        storage.write_text(models / name, "")
    (models / "old.onnx").mkdir()
    assert [each.model for each in accuracy.files_of(models)] == [models / "net.onnx"]
    for target in (run_folder, model.parent, model, run_folder / "weights" / "student.npz"):
        assert accuracy.recipe_of(target) == recipe.resolve()
    assert accuracy.recipe_of(tmp_path / "elsewhere" / "x.onnx") is None
