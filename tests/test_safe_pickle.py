"""Pickles from strangers: arrays and containers of any protocol are read, everything else is
refused and not run."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from teachers.errors import CheckpointError, DataError
from teachers.weights import safe_pickle


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function, *args, state=None):
        self.reduced = (function, args) if state is None else (function, args, state)

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_and_containers_of_every_protocol(protocol):
    weights = OrderedDict(
        w=np.asfortranarray(np.arange(6.0).reshape(2, 3)), none=np.zeros((0, 4), np.float16)
    )
    content = {
        "names": ["S001", b"S002", b""],
        "labels": np.arange(5),
        "weights": weights,
        "lengths": (np.int64(3), np.float32(0.5), None, True),
        "text": np.array(["a", "bcd"]),
        "objects": np.array(["a", 1, None], dtype=object),
        "set": {1, 2},
    }
    read = safe_pickle.load(pickle.dumps(content, protocol), "x.pkl")
    for key in ("names", "lengths", "set"):
        assert read[key] == content[key]
    for key in ("labels", "text", "objects"):
        np.testing.assert_array_equal(read[key], content[key])
    np.testing.assert_array_equal(read["weights"]["w"], content["weights"]["w"])
    assert read["weights"]["none"].shape == (0, 4) and isinstance(read["weights"], OrderedDict)


def test_python_2_pickles():
    lists = b"\x80\x02]q\x01(]q\x02U\x04S001a]q\x03K\x05ae."
    assert safe_pickle.load(lists, "x.pkl") == [["S001"], [5]]
    array = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03"
        b"(K\x01K\x02\x85cnumpy\ndtype\nq\x04U\x02i2K\x00K\x01\x87Rq\x05"
        b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x04\x01\x00\xff\x00tb."
    )
    np.testing.assert_array_equal(safe_pickle.load(array, "x.pkl"), np.array([1, 255], np.int16))


def test_arrays_pickled_by_numpy_2_are_read():
    data = pickle.dumps(np.arange(3), 2).replace(
        b"cnumpy.core.multiarray", b"cnumpy._core.multiarray"
    )
    np.testing.assert_array_equal(safe_pickle.load(data, "x.pkl"), np.arange(3))


@pytest.mark.parametrize("protocol", range(6))
def test_a_hostile_pickle_is_refused_by_name_and_not_run(tmp_path, protocol):
    trace = tmp_path / "trace"
    data = pickle.dumps([np.arange(3), Call(os.system, f"touch {trace}")], protocol)
    with pytest.raises(CheckpointError) as caught:
        safe_pickle.load(data, "labels.pkl")
    assert (
        str(caught.value)
        == f"labels.pkl: refuses to load '{os.system.__module__}.system': pickles may only hold "
        "numpy arrays and plain containers"
    )
    assert not trace.exists()


@pytest.mark.parametrize(
    "module, name",
    [
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("numpy", "load"),
        ("os", "system"),
        ("numpy.core.multiarray", "fromfile"),
        ("collections", "OrderedDict.clear"),
    ],
)
def test_every_other_global_is_refused(module, name):
    texts = b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name))
    with pytest.raises(
        DataError, match=f"^x: refuses to load '{module}.{name}': pickles may only hold"
    ):
        safe_pickle.load(b"\x80\x04" + texts + b"\x93.", "x", DataError)


def test_a_forged_dtype_is_refused():
    """Object arrays whose dtype denies it would read raw bytes as pointers."""
    dtype = Call(np.dtype, "O", False, True, state=(3, "|", None, None, None, -1, -1, 0))
    with pytest.raises(
        CheckpointError, match="UnpicklingError: a object with fields or flags of its own"
    ):
        safe_pickle.load(pickle.dumps(dtype), "x")


def test_state_is_set_on_nothing_but_arrays():
    weights = Call(OrderedDict, state={"update": 1})
    with pytest.raises(CheckpointError, match="UnpicklingError: state for a OrderedDict"):
        safe_pickle.load(pickle.dumps(weights), "x")


@pytest.mark.parametrize(
    "data",
    [b"", b"not a pickle", pickle.dumps(list(range(1000)))[:50], b"\x80\x04}]R.", b"\x80\x63N."],
)
def test_damage_is_an_error_with_the_fix(data):
    message = (
        r"^labels\.pkl: not a readable pickle, or truncated \(.*\); copy or download it again$"
    )
    with pytest.raises(CheckpointError, match=message):
        safe_pickle.load(data, "labels.pkl")


def nested(opcode: bytes) -> bytes:
    """40 steps, each a container of twice the one before: small in memory, 2^40 elements for
    whoever looks at all of them."""
    return b"\x80\x02)q\x00" + opcode * 40


PAIRS, LISTS = b"h\x00h\x00\x86q\x00", b"](h\x00h\x00eq\x00"
NUMPY = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n"


@pytest.mark.parametrize(
    "data, message",
    [
        (nested(PAIRS) + b".", "the same containers in each other over and over"),
        (nested(LISTS) + b".", "the same containers in each other over and over"),
        (nested(PAIRS) + b"}h\x00K\x01s.", "a tuple in a key"),
        (nested(PAIRS) + b"}(h\x00K\x01u.", "a tuple in a key"),
        (nested(PAIRS) + b"(h\x00K\x01d.", "a tuple in a key"),
        (nested(PAIRS) + b"\x8f(h\x00\x90.", "a tuple in a key"),
        (nested(PAIRS) + b"(h\x00\x91.", "a tuple in a key"),
        (nested(PAIRS) + b"cbuiltins\nset\n]h\x00a\x85R.", "a tuple in a key"),
        (nested(PAIRS) + b"ccollections\nOrderedDict\n]h\x00K\x01\x86a\x85R.", "a tuple in a key"),
        (b"\x80\x02]q\x00h\x00a.", "a container within itself"),
        (pickle.dumps(10**5000), "a number of 16610 bits"),
        (NUMPY + b"I536870912\n\x85S'b'\n\x87R.", "an array that begins with elements"),
        (b"cnumpy\nndarray\nI536870912\n\x85\x85R.", "takes no arguments"),
    ],
)
def test_what_would_take_for_ever_or_all_memory_is_refused(data, message):
    with pytest.raises(CheckpointError, match=message):
        safe_pickle.load(data, "x")


def test_what_stands_in_a_pickle_a_few_times_is_read():
    names = [f"S001C001P001R001A{index:03d}" for index in range(100)]
    content = {
        "split": {"xsub_train": names, "xview_train": names, "xset_train": [*names]},
        ("a", 1): [(1080, 1920)] * 100,
    }
    assert safe_pickle.load(pickle.dumps(content), "x") == content
