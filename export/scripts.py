"""The command line that `export/static.py` and `export/to_onnx.py` share."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import paddle

from export import package
from teachers.arguments import Parser
from teachers.errors import FeatherboneError
from teachers.weights import checkpoints
from teachers.weights.published import Hints

CLIPS = 8  # random clips a script compares on; a run compares on its validation split


def export(arguments: list[str] | None, kind: str, about: str) -> int:
    """Export a weights file in one format; the last line of stdout is JSON."""
    parser = Parser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--weights",
        required=True,
        type=Path,
        help="a weights file of any format this project reads",
    )
    parser.add_argument("--out", required=True, type=Path, help="the folder to write")
    parser.add_argument(
        "--frames", type=int, help="input length T, for published checkpoints, which do not say it"
    )
    options = parser.parse_args(arguments)
    try:
        hints = Hints(frames=options.frames)
        _, _, trained_on = checkpoints.read(options.weights, hints)
        network = checkpoints.load(options.weights, hints)
        shape = (CLIPS, *network.spec.input_shape)
        clips = np.random.default_rng(0).standard_normal(shape).astype("float32")
        with paddle.no_grad():
            reference = network(paddle.to_tensor(clips)).numpy()
        found = package.build(network, options.out, (kind,), trained_on, clips, reference)
    except FeatherboneError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    files = {
        path.name: path.stat().st_size for path in sorted(options.out.iterdir()) if path.is_file()
    }
    for name, size in files.items():
        print(f"{size:>12,} bytes  {options.out / name}")
    print(
        f"compared with {options.weights} on {CLIPS} random clips: relative difference"
        f" {found[kind]['max_rel_diff']:.1e}"
    )
    print(json.dumps({"out": str(options.out), "files": files, **found[kind]}))
    return 0
