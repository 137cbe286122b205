"""Pickles from strangers: arrays and containers of any protocol are read, everything else is refused and not run."""
from __future__ import annotations

import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from teachers import safe_pickle
from teachers.errors import CheckpointError, DataError


class Call:
    """Pickles as a call of any function."""

    def __init__(self, function, *args, state=None):
        self.reduced = (function, args) if state is None else (function, args, state)

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_and_containers_of_every_protocol(protocol):
    weights = OrderedDict(w=np.asfortranarray(np.arange(6.0).reshape(2, 3)), none=np.zeros((0, 4), np.float16))
    content = {"names": ["S001", b"S002", b""], "labels": np.arange(5), "weights": weights,
               "lengths": (np.int64(3), np.float32(0.5), None, True),
               "text": np.array(["a", "bcd"]), "objects": np.array(["a", 1, None], dtype=object), "set": {1, 2}}
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
    array = (b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03"
             b"(K\x01K\x02\x85cnumpy\ndtype\nq\x04U\x02i2K\x00K\x01\x87Rq\x05"
             b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x04\x01\x00\xff\x00tb.")
    np.testing.assert_array_equal(safe_pickle.load(array, "x.pkl"), np.array([1, 255], np.int16))


def test_arrays_pickled_by_numpy_2_are_read():
    data = pickle.dumps(np.arange(3), 2).replace(b"cnumpy.core.multiarray", b"cnumpy._core.multiarray")
    np.testing.assert_array_equal(safe_pickle.load(data, "x.pkl"), np.arange(3))


@pytest.mark.parametrize("protocol", range(6))
def test_a_hostile_pickle_is_refused_by_name_and_not_run(tmp_path, protocol):
    trace = tmp_path / "trace"
    data = pickle.dumps([np.arange(3), Call(os.system, f"touch {trace}")], protocol)
    with pytest.raises(CheckpointError) as caught:
        safe_pickle.load(data, "labels.pkl")
    assert str(caught.value) == (f"labels.pkl: refuses to load '{os.system.__module__}.system': pickles may only hold "
                                 "numpy arrays and plain containers")
    assert not trace.exists()


@pytest.mark.parametrize("module, name", [("builtins", "eval"), ("builtins", "getattr"), ("numpy", "load"),
                                          ("os", "system"), ("numpy.core.multiarray", "fromfile"),
                                          ("collections", "OrderedDict.clear")])
def test_every_other_global_is_refused(module, name):
    texts = b"".join(b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, name))
    with pytest.raises(DataError, match=f"^x: refuses to load '{module}.{name}': pickles may only hold"):
        safe_pickle.load(b"\x80\x04" + texts + b"\x93.", "x", DataError)


def test_a_forged_dtype_is_refused():
    """Object arrays whose dtype denies it would read raw bytes as pointers."""
    dtype = Call(np.dtype, "O", False, True, state=(3, "|", None, None, None, -1, -1, 0))
    with pytest.raises(CheckpointError, match="UnpicklingError: a object with fields or flags of its own"):
        safe_pickle.load(pickle.dumps(dtype), "x")


def test_state_is_set_on_nothing_but_arrays():
    weights = Call(OrderedDict, state={"update": 1})
    with pytest.raises(CheckpointError, match="UnpicklingError: state for a OrderedDict"):
        safe_pickle.load(pickle.dumps(weights), "x")


@pytest.mark.parametrize("data", [b"", b"not a pickle", pickle.dumps(list(range(1000)))[:50], b"\x80\x04}]R.",
                                  b"\x80\x63N."])
def test_damage_is_an_error_with_the_fix(data):
    message = r"^labels\.pkl: not a readable pickle, or truncated \(.*\); copy or download it again$"
    with pytest.raises(CheckpointError, match=message):
        safe_pickle.load(data, "labels.pkl")
