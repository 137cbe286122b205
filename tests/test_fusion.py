"""Fusion of scores: exact sums, found weights, files that do not belong together."""

import json

import numpy as np
import pytest

from benchmarks import fusion as benchmark
from compress.evaluation import fusion, scores
from teachers.errors import CheckpointError, DataError, RecipeError


def of(title, logits, labels=(0, 1, 1), names=("a", "b", "c")):
    return scores.Scores(title, tuple(names), np.array(labels), np.array(logits, "float32"))


ONE = of("one", [[2, 0], [1, 0], [0, 3]])
TWO = of("two", [[0, 1], [0, 2], [0, 1]])


def test_fusion_is_the_weighted_mean_of_logits():
    np.testing.assert_allclose(
        fusion.fuse([ONE.logits, TWO.logits], (3, 1)), [[1.5, 0.25], [0.75, 0.5], [0, 2.5]]
    )


def test_found_weights_get_right_what_neither_network_does():
    weights = fusion.find_weights([ONE.logits, TWO.logits], ONE.labels)
    fused = fusion.fuse([ONE.logits, TWO.logits], weights)
    assert (fused.argmax(1) == ONE.labels).all()
    assert [(one.logits.argmax(1) == one.labels).sum() for one in (ONE, TWO)] == [2, 2]


def test_found_weights_ignore_a_network_of_noise():
    generator = np.random.default_rng(0)
    labels = np.arange(200) % 4
    good = np.eye(4)[labels] * 2 + generator.normal(0, 1, (200, 4))
    noise = generator.normal(0, 6, (200, 4))
    good_weight, noise_weight = fusion.find_weights([good, noise], labels)
    assert good_weight >= 5 * noise_weight
    assert fusion.cross_validated([good, noise], labels) > 70


def test_scores_survive_a_file(tmp_path):
    scores.save(tmp_path / "one.npz", ONE)
    found = scores.load(tmp_path / "one.npz")
    assert (
        found.title == "one"
        and found.names == ONE.names
        and np.array_equal(found.logits, ONE.logits)
    )


def test_scores_in_another_order_are_put_in_order():
    shuffled = of("two", TWO.logits[[2, 0, 1]], (1, 0, 1), ("c", "a", "b"))
    assert np.array_equal(scores.aligned([ONE, shuffled])[1].logits, TWO.logits)


@pytest.mark.parametrize(
    "other, message",
    [
        (
            of("x", [[0, 1]] * 3, names=("a", "b", "d")),
            r"scores of 'x' and 'one' are not of the same samples \(c\)",
        ),
        (of("x", [[0, 1]] * 3, labels=(0, 0, 1)), "scores of 'x' and 'one' disagree about labels"),
        (of("x", [[0, 1, 2]] * 3), "scores of 'x' have 3 classes, those of 'one' 2"),
    ],
)
def test_scores_that_do_not_belong_together(other, message):
    with pytest.raises(DataError, match=message):
        scores.aligned([ONE, other])


def test_files_that_are_no_scores(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.zeros(2))
    with pytest.raises(CheckpointError, match="x.npz"):
        scores.load(tmp_path / "x.npz")
    scores.save(tmp_path / "nan.npz", of("nan", [[np.nan, 0], [0, 1], [0, 1]]))
    with pytest.raises(DataError, match="nan.npz: its .* do not fit together, or are not finite"):
        scores.load(tmp_path / "nan.npz")


@pytest.mark.parametrize(
    "text, message",
    [("1,x", "expected numbers"), ("1,2,3", "2 networks need 2 weights"), ("1,0", "above 0")],
)
def test_bad_weights(text, message):
    with pytest.raises(RecipeError, match=message):
        benchmark.parse_weights(text, (1.0, 1.0), 2)


def test_the_command_fuses_saved_scores(tmp_path, capsys):
    generator = np.random.default_rng(0)
    labels = np.arange(12) % 12
    names = [f"val_{index:05d}_p{100:03d}_a{index:02d}" for index in range(12)]
    for title in ("joint", "bone"):
        logits = np.eye(12)[labels] + generator.normal(0, 0.6, (12, 12))
        scores.save(tmp_path / f"{title}.npz", of(title, logits, labels, names))
    code = benchmark.main(
        [
            "--recipe",
            "ctrgcn_lite_dml",
            "-o",
            "data.train_clips=12",
            "-o",
            "data.val_clips=12",
            "--weights",
            "find",
            "--csv",
            str(tmp_path / "t.csv"),
            "--dump",
            str(tmp_path / "again"),
            *(str(tmp_path / f"{one}.npz") for one in ("joint", "bone")),
        ]
    )
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert code == 0 and [row["name"] for row in said["rows"]] == [
        "joint",
        "bone",
        "fusion, weights found on these clips",
    ]
    assert (
        said["rows"][2]["top1"] >= max(row["top1"] for row in said["rows"][:2])
        and "cross_validated_top1" in said["rows"][2]
    )
    assert (tmp_path / "t.csv").read_text().splitlines()[0] == "name,weight,top1,top5,class_mean"
    assert sorted(path.name for path in (tmp_path / "again").iterdir()) == ["bone.npz", "joint.npz"]
