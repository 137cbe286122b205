"""torch's two file formats without torch: what real files hold is read, nothing runs, no claimed
size is believed."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tracemalloc
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import pytest

from teachers import ctrgcn, networks
from teachers.ctrgcn import keys as ctrgcn_keys
from teachers.errors import CheckpointError
from teachers.skeleton import UCLA_20
from teachers.weights import checkpoints, safe_pickle, torch_legacy, torch_zip
from teachers.weights.placeholder import Placeholder

KINDS = {
    "<f4": "FloatStorage",
    "<f8": "DoubleStorage",
    "<f2": "HalfStorage",
    "<i8": "LongStorage",
    "<i4": "IntStorage",
    "<i2": "ShortStorage",
    "<u2": "BFloat16Storage",
    "|i1": "CharStorage",
    "|u1": "ByteStorage",
    "|b1": "BoolStorage",
}
READ = {"zip": torch_zip.read, "legacy": torch_legacy.read}


class Global:
    """Pickles as the name of something, whatever it is here."""

    def __init__(self, module: str, name: str):
        self.module, self.name = module, name


class Call:
    """Pickles as a call, with a state where one is given."""

    def __init__(self, function, *arguments, state=None):
        self.function, self.arguments, self.state = function, arguments, state


class Reference:
    """Pickles as a persistent id."""

    def __init__(self, *parts):
        self.parts = parts


class Pickler(pickle._Pickler):
    """Arrays as tensors that refer to storages, as torch pickles them."""

    def __init__(self, file, legacy: bool):
        super().__init__(file, 2)
        self.legacy, self.storages = legacy, {}

    def persistent_id(self, value):
        return value.parts if isinstance(value, Reference) else None

    def save(self, value, *arguments, **named):
        if isinstance(value, np.ndarray):
            value = self.tensor(value)
        if isinstance(value, Global):
            return self.write(f"c{value.module}\n{value.name}\n".encode())
        if isinstance(value, Call):
            self.save(value.function)
            self.save(tuple(value.arguments))
            self.write(pickle.REDUCE)
            if value.state is not None:
                self.save(value.state)
                self.write(pickle.BUILD)
            return None
        return super().save(value, *arguments, **named)

    def tensor(self, array):
        # uint16 in a torch file can only be the bits of bfloat16, see KINDS.
        key, steps = str(len(self.storages)), [step // array.itemsize for step in array.strides]
        self.storages[key] = array.flatten("K")
        storage = Reference(
            "storage",
            Global("torch", KINDS[array.dtype.str]),
            key,
            "cpu",
            array.size,
            *[None] * self.legacy,
        )
        return Call(
            Global("torch._utils", "_rebuild_tensor_v2"),
            storage,
            0,
            array.shape,
            tuple(steps),
            False,
            OrderedDict(),
        )


def written(kind: str, content, **changes) -> bytes:
    """A checkpoint of this kind; `changes`: `machine`, `keys` or `counts` of a legacy file."""
    body = io.BytesIO()
    pickler = Pickler(body, kind == "legacy")
    pickler.dump(content)
    if kind == "zip":
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("net/data.pkl", body.getvalue())
            for key, storage in pickler.storages.items():
                archive.writestr(f"net/data/{key}", storage.tobytes())
        return file.getvalue()
    machine = {
        "protocol_version": 1001,
        "little_endian": True,
        "type_sizes": {"short": 2, "int": 4, "long": 4},
    }
    machine |= changes.get("machine", {})
    head = pickle.dumps(torch_legacy.MAGIC, 2) + pickle.dumps(1001, 2) + pickle.dumps(machine, 2)
    keys = changes.get("keys", sorted(pickler.storages))
    tail = pickle.dumps(keys, 2)
    for key in keys:
        storage = pickler.storages.get(key, np.zeros(0))
        tail += (
            struct.pack("<q", changes.get("counts", {}).get(key, storage.size)) + storage.tobytes()
        )
    return head + body.getvalue() + tail


def read(kind: str, data: bytes, tmp_path):
    (tmp_path / "net.pth").write_bytes(data)
    return READ[kind](tmp_path / "net.pth")


CONTENT = {
    "state_dict": OrderedDict(
        a=np.arange(6, dtype="<f4").reshape(2, 3),
        b=np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        scalar=np.array(7),
        none=np.zeros((0, 4), "<f2"),
        flag=np.array([True, False]),
    ),
    "epoch": 66,
    "size": Call(Global("torch", "Size"), [3, 4]),
    "groups": [{"lr": 0.1, "betas": (0.9, 0.999), "foreach": None}],
    "seen": {1, 2},
    "milestones": Counter({35: 1}),
}


@pytest.mark.parametrize("kind", READ)
def test_tensors_and_what_optimisers_hold(kind, tmp_path):
    found = read(kind, written(kind, CONTENT), tmp_path)
    for name, value in CONTENT["state_dict"].items():
        assert found["state_dict"][name].dtype == value.dtype
        np.testing.assert_array_equal(found["state_dict"][name], value)
    assert found["epoch"] == 66 and found["size"] == (3, 4) and found["groups"] == CONTENT["groups"]
    assert found["seen"] == {1, 2} and found["milestones"] == {35: 1}


@pytest.mark.parametrize("kind", READ)
@pytest.mark.parametrize("core", ["numpy.core", "numpy._core"])
def test_numpy_scalars_and_arrays(kind, core, tmp_path):
    text = Call(Global("_codecs", "encode"), "\x00\x00\x00\x00\x00\x00\xf0?", "latin1")
    dtype = Call(
        Global("numpy", "dtype"), "f8", False, True, state=(3, "<", None, None, None, -1, -1, 0)
    )
    best = Call(Global(f"{core}.multiarray", "scalar"), dtype, text)
    assert read(kind, written(kind, {"best": best}), tmp_path)["best"] == np.float64(1.0)


@pytest.mark.parametrize("kind", READ)
def test_the_metadata_of_a_state_dict_is_ignored(kind, tmp_path):
    weights = Call(
        Global("collections", "OrderedDict"),
        [["a", np.ones(2, "<f4")]],
        state={"_metadata": {"version": 1}, "update": 3},
    )
    found = read(kind, written(kind, weights), tmp_path)
    assert found["a"].tolist() == [1, 1] and not vars(found)


HARMFUL = [
    ("os", "system"),
    ("posix", "system"),
    ("builtins", "eval"),
    ("__builtin__", "exec"),
    ("subprocess", "Popen"),
    ("importlib", "import_module"),
    ("pickle", "loads"),
]
UNKNOWN = [
    ("builtins", "getattr"),
    ("torch", "load"),
    ("torch.hub", "load"),
    ("torch._utils", "_import_dotted_name"),
    ("torch.nn.modules.linear", "Linear"),
    ("numpy", "load"),
    ("numpy.core.multiarray", "fromfile"),
    ("teachers.weights.torch_pickle", "Storage"),
]


@pytest.mark.parametrize("kind", READ)
@pytest.mark.parametrize("module, name", HARMFUL)
def test_a_harmful_name_is_refused_and_not_run(kind, module, name, tmp_path):
    trace = tmp_path / "trace"
    data = written(
        kind, {"a": np.ones(3, "<f4"), "b": Call(Global(module, name), f"touch {trace}")}
    )
    with pytest.raises(CheckpointError) as caught:
        read(kind, data, tmp_path)
    assert (
        str(caught.value)
        == f"{tmp_path / 'net.pth'}: refuses to load '{module}.{name}': a torch checkpoint may only"
        " hold tensors, arrays and plain containers; save the state dict alone"
        " (torch.save(model.state_dict(), path))"
    )
    assert not trace.exists()


@pytest.mark.parametrize("kind", READ)
@pytest.mark.parametrize("module, name", UNKNOWN)
def test_any_other_name_is_a_placeholder_and_not_run(kind, module, name, tmp_path):
    trace = tmp_path / "trace"
    called = Call(Global(module, name), f"touch {trace}", state={"update": 3})
    found = read(kind, written(kind, {"a": np.ones(3, "<f4"), "b": called}), tmp_path)
    assert found["a"].tolist() == [1, 1, 1] and not trace.exists()
    assert isinstance(found["b"], Placeholder) and repr(found["b"]) == f"<{module}.{name}>"
    assert found["b"].content == {}


@pytest.mark.parametrize("part", ["machine", "keys"])
def test_every_pickle_of_a_legacy_file_is_guarded(part, tmp_path):
    trace = tmp_path / "trace"

    class Hostile:
        def __reduce__(self):
            return os.system, (f"touch {trace}",)

    change = {"machine": {"x": Hostile()}} if part == "machine" else {"keys": [Hostile()]}
    change = change if part == "machine" else {}
    data = written("legacy", {"a": np.ones(3, "<f4")}, **change)
    if part == "keys":
        data = data.replace(pickle.dumps(["0"], 2), pickle.dumps([Hostile()], 2))
    with pytest.raises(CheckpointError, match=r"net.pth: refuses to load '(posix|nt).system'"):
        read("legacy", data, tmp_path)
    assert not trace.exists()


def forged_array():
    """A billion elements, all of them one byte."""
    return Call(
        Global("numpy", "ndarray"), (10**9,), Call(Global("numpy", "dtype"), "u1"), b"x", 0, (0,)
    )


def small_array():
    return Call(
        Global("numpy.core.numeric", "_frombuffer"),
        b"xy",
        Call(Global("numpy", "dtype"), "u1"),
        (2,),
        "C",
    )


FORGED = {
    "outside": (
        Call(Global("torch._utils", "_rebuild_tensor_v2"), "storage", 2, (3,), (1,)),
        "points outside its storage",
    ),
    "backwards": (
        Call(Global("torch._utils", "_rebuild_tensor_v2"), "storage", 2, (3,), (-1,)),
        "points outside its storage",
    ),
    "repeated": (
        Call(Global("torch._utils", "_rebuild_tensor_v2"), "storage", 0, (10**6, 10**6), (0, 0)),
        r"shape \(1000000, 1000000\) is larger than its storage of 4 elements",
    ),
    "of an array": (
        Call(Global("torch._utils", "_rebuild_tensor_v2"), small_array(), 0, (10**9,), (1,)),
        "a tensor has no storage",
    ),
    "array": (forged_array(), "takes no arguments"),
    "dtype": (
        Call(
            Global("numpy", "dtype"), "O", False, True, state=(3, "|", None, None, None, -1, -1, 0)
        ),
        "a object with fields or flags of its own",
    ),
    "void": (
        Call(
            Global("numpy.core.multiarray", "scalar"), Call(Global("numpy", "dtype"), "V2000000000")
        ),
        "missing 1 required",
    ),
    "zeros": (Call(Global("builtins", "bytes"), 10**12), "takes 0 positional arguments"),
    "list": (Call(Global("builtins", "list"), small_array()), "a list of a ndarray"),
    "size": (Call(Global("torch", "Size"), small_array()), "a tuple of a ndarray"),
    "state": (
        Call(Global("torch._utils", "_rebuild_parameter"), {}, state={"update": 1}),
        "state for a dict",
    ),
    "module": (Reference("module", "net", "net.py", "code"), "an unknown reference 'module'"),
    "short": (
        Reference(
            "storage",
        ),
        "not enough values|index out of range|unpack",
    ),
}


@pytest.mark.parametrize("kind", READ)
@pytest.mark.parametrize("name", FORGED)
def test_forged_objects_are_refused_without_memory(kind, name, tmp_path):
    content, message = FORGED[name]
    if isinstance(content, Call) and content.arguments[:1] == ("storage",):
        storage = Reference(
            "storage", Global("torch", "FloatStorage"), "0", "cpu", 4, *[None] * (kind == "legacy")
        )
        content = Call(content.function, storage, *content.arguments[1:])
    data = written(kind, [np.ones(4, "<f4"), content])
    tracemalloc.start()
    with pytest.raises(CheckpointError, match=f"net.pth: .*({message})"):
        read(kind, data, tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 5e6
    tracemalloc.stop()


def huge(kind: str) -> list[bytes]:
    """Files that claim far more than they hold."""
    opcodes = [
        b"\x80\x05\x96" + struct.pack("<Q", 10**11) + b".",
        b"\x80\x04\x8e" + struct.pack("<Q", 10**15) + b".",
        b"\x80\x04\x95" + struct.pack("<Q", 10**15) + b".",
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
    ]
    if kind == "zip":
        files = []
        for body in opcodes:
            file = io.BytesIO()
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr("net/data.pkl", body)
            files.append(file.getvalue())
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("net/data.pkl", bytes(10**7))
        return [*files, file.getvalue()]
    head = written("legacy", None)[: -len(pickle.dumps(None, 2) + pickle.dumps([], 2))]
    storage = [
        Reference("storage", Global("torch", "DoubleStorage"), str(key), "cpu", elements, None)
        for key, elements in enumerate((5, 10**12))
    ]
    negative = Reference("storage", Global("torch", "DoubleStorage"), "0", "cpu", -1, None)
    outside = Reference("storage", Global("torch", "DoubleStorage"), "0", "cpu", 5, ("1", 3, 4))
    return [
        *(head + body for body in opcodes),
        written("legacy", storage),
        written("legacy", negative),
        written("legacy", outside),
    ]


@pytest.mark.parametrize("kind", READ)
def test_huge_claims_do_not_allocate(kind, tmp_path):
    for data in huge(kind):
        tracemalloc.start()
        with pytest.raises(
            CheckpointError, match=r"net.pth: .*damaged.*; copy or download it again"
        ):
            read(kind, data, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 5e6
        tracemalloc.stop()


@pytest.mark.parametrize("kind", READ)
def test_truncated_anywhere(kind, tmp_path):
    data = written(kind, CONTENT)
    for kept in range(0, len(data), max(1, len(data) // 150)):
        with pytest.raises(
            CheckpointError, match=r"net.pth: .*(damaged|truncated|not a readable|empty)"
        ):
            read(kind, data[:kept], tmp_path)
        with pytest.raises(
            CheckpointError, match=r"net.pth: .*(damaged|truncated|not a readable|empty)"
        ):
            checkpoints.read(tmp_path / "net.pth")


def test_a_damaged_zip_directory(tmp_path):
    data = written("zip", CONTENT)
    for mark, position in (
        (b"PK\x01\x02", 0),
        (b"PK\x01\x02", 6),
        (b"PK\x05\x06", 16),
    ):  # magic, version, offset
        damaged = bytearray(data)
        damaged[data.index(mark) + position] ^= 0x7F
        (tmp_path / "net.pth").write_bytes(damaged)
        with pytest.raises(
            CheckpointError,
            match=(
                r"net.pth: (damaged|the torch checkpoint is damaged).*; copy or download it again"
            ),
        ):
            checkpoints.read(tmp_path / "net.pth")


def test_legacy_storages_that_do_not_fit(tmp_path):
    content = {"a": np.ones(3, "<f4"), "b": np.ones(2, "<f8")}
    for changes, message in (
        ({"keys": ["0"]}, "the list of storages is not that of the tensors"),
        ({"counts": {"0": 4}}, "a storage is not of the 3 elements it should have"),
        ({"machine": {"little_endian": False}}, "save it again with torch 1.6 or later"),
    ):
        with pytest.raises(CheckpointError, match=f"net.pth: .*{message}"):
            read("legacy", written("legacy", content, **changes), tmp_path)


def test_legacy_views_of_one_storage(tmp_path):
    """Storages that are views of another were written with their place in it."""
    storage = [
        Reference("storage", Global("torch", "FloatStorage"), "0", "cuda:0", 6, view)
        for view in (None, ("1", 2, 3))
    ]
    tensors = [
        Call(Global("torch._utils", "_rebuild_tensor"), one, offset, (2,), (1,))
        for one, offset in zip(storage, (4, 1), strict=True)
    ]
    data = written("legacy", tensors).removesuffix(pickle.dumps([], 2)) + pickle.dumps(["0"], 2)
    data += struct.pack("<q6f", 6, *range(6))
    assert [one.tolist() for one in read("legacy", data, tmp_path)] == [[4, 5], [3, 4]]


def test_both_formats_load_as_a_network(tmp_path, randomised):
    network = randomised(
        networks.build(ctrgcn.default_spec(4, UCLA_20, 52, 1, config=ctrgcn.Config(8)))
    )
    arrays = ctrgcn_keys.to_published(network.spec, networks.state_of(network))
    arrays = {
        name: np.ascontiguousarray(value.T if name == "fc.weight" else value)
        for name, value in arrays.items()
    }
    for kind in READ:
        (tmp_path / f"{kind}.pt").write_bytes(
            written(kind, {"model": OrderedDict(arrays), "epoch": 3})
        )
        found = networks.state_of(checkpoints.load(tmp_path / f"{kind}.pt"))
        assert all(
            np.array_equal(found[name], value) for name, value in networks.state_of(network).items()
        )


def test_an_optimiser_state_beside_real_weights(shared):
    found = torch_zip.read(shared / "weights" / "efficientgcn_b0_epsep_ntu60_xsub.pth.tar")
    assert found["epoch"] == 66 and len(found["model"]) > 300
    assert round(float(found["best_state"]["acc_top1"]), 3) == pytest.approx(0.9, abs=0.02)


def pickled(body: bytes) -> bytes:
    """A torch zip with this pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("net/data.pkl", b"\x80\x02" + body)
    return file.getvalue()


# A class that is not known, remembered, and then made into objects a few bytes each.
CLASS = b"cnowhere\nThing\nq\x00"
MADE = {
    "objects": CLASS + b"(" + b"h\x00)\x81" * 40_000 + b"l.",
    "calls": CLASS + b"(" + b"h\x00)R" * 40_000 + b"l.",
    "old objects": CLASS + b"(" + b"(h\x00o" * 40_000 + b"l.",
    "named arguments": CLASS + b"(" + b"h\x00)}\x92" * 40_000 + b"l.",
}


@pytest.mark.parametrize("name", MADE)
def test_placeholders_count_as_memory(name, tmp_path, monkeypatch):
    (tmp_path / "net.pth").write_bytes(pickled(MADE[name]))
    torch_zip.read(tmp_path / "net.pth")
    monkeypatch.setattr(safe_pickle, "MEMORY", 6_000_000)
    with pytest.raises(CheckpointError, match="it unpacks to far more than the file has"):
        torch_zip.read(tmp_path / "net.pth")


def test_every_name_of_every_module_counts_as_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(safe_pickle, "MEMORY", 1_000_000)
    body = b""
    for number in range(150):
        body += b"U\x05%05d" % number + b"r" + struct.pack("<I", number) + b"0"
    body += b"("
    for number in range(20_000):
        first, second = struct.pack("<I", number % 150), struct.pack("<I", number // 150)
        body += b"j" + first + b"j" + second + b"\x93"
    (tmp_path / "net.pth").write_bytes(pickled(body + b"l."))
    with pytest.raises(CheckpointError, match="it unpacks to far more than the file has"):
        torch_zip.read(tmp_path / "net.pth")


def test_a_placeholder_takes_what_a_pickle_does_and_keeps_items_alone(tmp_path):
    thing = b"h\x00)\x81"
    content = b"(" + thing + b"X\x01\x00\x00\x00aK\x01sK\x02aK\x03a(K\x04e(K\x05\x90}b" + b"l."
    found = read("zip", pickled(CLASS + content), tmp_path)[0]
    assert found.name == "nowhere.Thing" and found.content == {"a": 1}
    assert {found: 1}[found] == 1
