"""A program as Paddle 2.2 wrote it in 2022: call stacks that are most of the file, attributes of every
backend, an input called `x`, values that are written over, no versions of operators."""

from __future__ import annotations

from pathlib import Path

from paddle.base.proto.framework_pb2 import AttrType, ProgramDesc

STACK = [
    f'  File "/opt/conda/lib/python3.7/site-packages/paddle/fluid/layers/module_{n}.py", line {n}'
    for n in range(8)
]
# As PaddleVideo's exports have them: by backends that the runtime fills in or does not have.
FLAGS = ("use_mkldnn", "use_cudnn", "is_test", "use_quantizer")
INPUT, OUTPUT = "x", "save_infer_model/scale_0.tmp_0"


def age(model: Path, parameters: Path, folder: Path) -> tuple[Path, Path]:
    """Write both files as they were in 2022, under the names that they had: inference.pdmodel."""
    program = ProgramDesc.FromString(model.read_bytes())
    program.version.version = 2_002_000
    program.ClearField("op_version_map")
    block = program.blocks[0]
    feed = next(op for op in block.ops if op.type == "feed")
    fetch = next(op for op in block.ops if op.type == "fetch")
    new = {feed.outputs[0].arguments[0]: INPUT, fetch.inputs[0].arguments[0]: OUTPUT}
    for op in block.ops:
        for slot in (*op.inputs, *op.outputs):
            slot.arguments[:] = [new.get(name, name) for name in slot.arguments]
        # In place, as `relu_` was traced: from here on the value has its input's name.
        if op.type == "relu":
            source, made = op.inputs[0].arguments[0], op.outputs[0].arguments[0]
            if made != OUTPUT and _last_reader(block, source, op):
                op.outputs[0].arguments[:] = [source]
                new[made] = source
        _date(op)
    for variable in block.vars:
        variable.name = {k: v for k, v in new.items() if v in (INPUT, OUTPUT)}.get(
            variable.name, variable.name
        )
    paths = folder / "inference.pdmodel", folder / "inference.pdiparams"
    paths[0].write_bytes(program.SerializeToString())
    paths[1].write_bytes(parameters.read_bytes())
    return paths


def _last_reader(block, name: str, op) -> bool:
    readers = [
        each for each in block.ops for slot in each.inputs for own in slot.arguments if own == name
    ]
    return len(readers) == 1 and readers[0] is op


def _date(op) -> None:
    for flag in FLAGS:
        if all(each.name != flag for each in op.attrs):
            # Not `is_test`: there it decides what a BatchNorm computes.
            op.attrs.add(name=flag, type=AttrType.BOOLEAN, b=flag == "is_test")
    for each in [each for each in op.attrs if each.name == "op_callstack"]:
        op.attrs.remove(each)
    op.attrs.add(name="op_callstack", type=AttrType.STRINGS, strings=STACK)
