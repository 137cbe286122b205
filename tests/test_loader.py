"""Batches: order, completeness, the same content whatever the number of threads, errors that name
the clip."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from compress.data import loader
from compress.data.dataset import Split
from teachers.errors import DataError


def split(count: int) -> Split:
    clips = [np.full((3, 4, 2, 1), index, np.float32) for index in range(count)]
    return Split(
        tuple(f"clip{index}" for index in range(count)),
        clips,
        np.arange(count, dtype=np.int64) * 10,
    )


def plain(clip, rng):
    return clip


def noisy(clip, rng):
    return clip + rng.normal(size=clip.shape)


def collect(*args, **kwargs) -> tuple[np.ndarray, np.ndarray]:
    x, y = zip(*loader.batches(*args, **kwargs), strict=True)
    return np.concatenate(x), np.concatenate(y)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_every_sample_arrives_once_in_order_with_its_label(workers):
    order = np.random.default_rng(0).permutation(23)
    sizes = [
        len(y) for _, y in loader.batches(split(23), plain, loader.cut(order, 4), workers=workers)
    ]
    x, y = collect(split(23), plain, loader.cut(order, 4), workers=workers)
    assert sizes == [4, 4, 4, 4, 4, 3]
    np.testing.assert_array_equal(x[:, 0, 0, 0, 0], order)
    np.testing.assert_array_equal(y, order * 10)
    assert x.dtype == np.float32 and y.dtype == np.int64 and x.shape == (23, 3, 4, 2, 1)


def test_no_samples_no_batches():
    assert list(loader.batches(split(3), plain, loader.cut(np.arange(0), 4))) == []


def test_random_views_are_the_same_whatever_the_threads_the_order_and_the_batch_size():
    forward = collect(split(11), noisy, loader.cut(np.arange(11), 2), rng_key=(7, 3), workers=1)[0]
    backward = collect(
        split(11), noisy, loader.cut(np.arange(11)[::-1], 5), rng_key=(7, 3), workers=4
    )[0]
    np.testing.assert_array_equal(forward, backward[::-1])


@pytest.mark.parametrize("key", [(8, 3), (7, 4)])
def test_another_seed_or_epoch_gives_other_views(key):
    first = collect(split(4), noisy, loader.cut(np.arange(4), 2), rng_key=(7, 3))[0]
    other = collect(split(4), noisy, loader.cut(np.arange(4), 2), rng_key=key)[0]
    assert (first != other).any(axis=(1, 2, 3, 4)).all()


def test_a_training_that_is_taken_up_later_sees_the_same_batches():
    whole = list(loader.batches(split(20), noisy, loader.cut(np.arange(20), 4), rng_key=(1, 0)))
    rest = list(loader.batches(split(20), noisy, loader.cut(np.arange(20)[8:], 4), rng_key=(1, 0)))
    for (x, y), (x_again, y_again) in zip(whole[2:], rest, strict=True):
        np.testing.assert_array_equal(x, x_again)
        np.testing.assert_array_equal(y, y_again)


def broken(error):
    def prepare(clip, rng):
        if clip[0, 0, 0, 0] == 5:
            raise error
        return clip

    return prepare


@pytest.mark.parametrize(
    "error, message",
    [
        (
            DataError("x.npy[5]: every frame holds NaN"),
            "clip 'clip5': x.npy[5]: every frame holds NaN",
        ),
        (IndexError("joint 25"), "clip 'clip5': cannot be prepared (IndexError: joint 25)"),
    ],
)
def test_an_error_in_a_thread_names_the_clip(error, message):
    arrived = []
    with pytest.raises(DataError) as caught:
        for _, y in loader.batches(split(20), broken(error), loader.cut(np.arange(20), 2)):
            arrived.append(y.tolist())
    assert str(caught.value) == message
    assert arrived == [[0, 10], [20, 30]]  # what came before it was good


def test_a_clip_of_another_shape_is_named():
    with pytest.raises(DataError) as caught:
        list(
            loader.batches(
                split(4),
                lambda clip, rng: clip[:, : 4 - int(clip[0, 0, 0, 0] == 2)],
                [np.arange(4)],
            )
        )
    assert (
        str(caught.value)
        == "clip 'clip2': has shape (3, 3, 2, 1) after preparation, the batch's first (3, 4, 2, "
        "1); all must be alike"
    )


def test_leaving_early_stops_the_threads():
    started = []

    def prepare(clip, rng):
        started.append(1)
        return clip

    for _ in loader.batches(split(1000), prepare, loader.cut(np.arange(1000), 1)):
        break
    assert len(started) < 100
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("loader")]
