"""Copies of training clips among validation clips, and the parts that are kept from training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from compress.data import copies, parts
from compress.data.dataset import Split
from teachers.errors import RecipeError


def clips(count: int, frames: int = 24, seed: int = 0) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    steps = generator.normal(0, 0.1, (count, 3, frames, 5, 1)).cumsum(axis=2)
    return list((steps + generator.normal(0, 1, (count, 3, 1, 5, 1))).astype("float32"))


def split(name: str, content: list[np.ndarray]) -> Split:
    labels = np.arange(len(content), dtype=np.int64) % 3
    return Split(tuple(f"{name}{index}" for index in range(len(content))), content, labels)


def test_copies_are_found_whole_moved_and_cut():
    known = clips(8)
    away = np.array([30.0, -2.0, 5.0], np.float32).reshape(3, 1, 1, 1)
    noise = np.random.default_rng(1).normal(0, 0.02, known[5].shape).astype("float32")
    padded = np.pad(known[4] + away, ((0, 0), (3, 9), (0, 0), (0, 0)))
    val = [
        *clips(3, seed=9),
        known[0].copy(),
        known[1] + away,
        known[2][:, 3:20],
        known[3][:, :16] + away,
        padded,
        known[5] + noise,
        known[6][:, :8],
        known[7][:, ::-1],
    ]
    found = copies.find(split("train", known), split("val", val))
    assert found.exact.tolist() == [False] * 3 + [True] + [False] * 7
    # A third of a clip, a noisy one and one that runs backwards are other clips.
    assert found.moved.tolist() == [False] * 4 + [True] * 4 + [False] * 3


def test_a_clip_that_is_longer_than_the_training_clip_is_a_copy_too():
    whole = clips(1)[0]
    found = copies.find(split("train", [whole[:, 4:20]]), split("val", [whole]))
    assert found.moved.tolist() == [True] and not found.exact.any()


def test_people_who_stand_still_and_empty_clips_are_no_copies_of_each_other():
    pose = np.repeat(clips(1)[0][:, :1], 24, axis=1)
    away = pose + 1
    empty = np.zeros((3, 24, 5, 1), np.float32)
    found = copies.find(split("train", [pose, empty]), split("val", [away, empty[:, :12]]))
    assert not found.any.any()


def test_marked_is_kept_in_the_cache_and_said(tiny_dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("FEATHERBONE_CACHE", str(tmp_path))
    val = list(tiny_dataset.val.clips)
    val[2] = tiny_dataset.train.clips[0]
    dataset = replace(tiny_dataset, val=replace(tiny_dataset.val, clips=val), fingerprint="marked")
    marked = copies.marked(dataset)
    assert np.flatnonzero(marked.val.copies).tolist() == [2]
    assert marked.notes[-1].startswith(
        "1 clip of the 14 to validate with is among those to train on (1 number for number): val2;"
    )
    monkeypatch.setattr(copies, "find", None)
    assert np.flatnonzero(copies.marked(dataset).val.copies).tolist() == [2]
    (file,) = (tmp_path / "copies").iterdir()
    file.write_text("{")
    with pytest.raises(TypeError):
        copies.marked(dataset)


def test_held_out_is_stratified_seeded_and_keeps_equal_clips_together(tiny_dataset):
    train = tiny_dataset.train
    doubled = Split(
        train.names + tuple(f"{name}b" for name in train.names),
        list(train.clips) * 2,
        np.tile(train.labels, 2),
    )
    dataset = replace(tiny_dataset, train=doubled)
    first = parts.held_out(dataset, 0.25, 1)
    assert first.holdout is not None and first.selection is first.holdout
    assert np.bincount(first.holdout.labels).tolist() == [4, 4, 4]
    held = {name.removesuffix("b") for name in first.holdout.names}
    assert not held & {name.removesuffix("b") for name in first.train.names}
    assert set(first.holdout.names) | set(first.train.names) == set(doubled.names)
    again, other = parts.held_out(dataset, 0.25, 1), parts.held_out(dataset, 0.25, 2)
    assert again.holdout.names == first.holdout.names != other.holdout.names
    assert again.fingerprint == first.fingerprint
    assert len({first.fingerprint, other.fingerprint, dataset.fingerprint}) == 3
    assert (
        "12 clips of the training split (0.25 of every class, drawn by seed 1)" in first.notes[-1]
    )
    with pytest.raises(RecipeError, match="holdout: 0.99 of 52 clips to train on: class 'one'"):
        parts.held_out(dataset, 0.99, 1)
    assert dataset.selection is dataset.val


def test_left_out_classes_are_unknown_and_the_others_count_on(tiny_dataset):
    left = parts.left_out(tiny_dataset, ("two",))
    assert left.classes == ("one", "three") and left.fingerprint != tiny_dataset.fingerprint
    assert set(left.train.labels) == set(left.val.labels) == {0, 1}
    labels = dict(zip(tiny_dataset.val.names, tiny_dataset.val.labels, strict=True))
    assert {labels[name] for name in left.unknown.names} == {1}
    assert all(
        labels[name] == 2 * own for name, own in zip(left.val.names, left.val.labels, strict=True)
    )
    np.testing.assert_array_equal(left.val.clips[1], tiny_dataset.val.clips[2])
    for names, what in ((("four",), "no class 'four'"), (("one", "two"), "leaves 1 class of 3")):
        with pytest.raises(RecipeError, match=what):
            parts.left_out(tiny_dataset, names)
