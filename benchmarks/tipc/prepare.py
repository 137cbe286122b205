"""The data of a TIPC chain: in the `lite` modes a few dozen generated recordings in NTU RGB+D's
format, and the same as EfficientGCN's arrays; the whole sets are everybody's own.

Run: python -m benchmarks.tipc.prepare benchmarks/tipc/configs/ctrgcn/train_infer_python.txt lite_train_lite_infer

`prepare.sh` calls it. The last line of stdout is JSON.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from benchmarks import raw_ntu
from benchmarks.tipc import parameters
from compress.data import ntu
from compress.data.ntu import array_files, build
from teachers import storage
from teachers.errors import DataError
from teachers.terminal import ending
from teachers.terminal.arguments import Parser

# 48 recordings are of four performers, of whom the third is one of X-Sub's test.
CLIPS = 48
RAW = "raw"
LITE = "lite_train"


def write(folder: Path) -> dict[str, int]:
    """The generated data below `folder`, made anew; returns the clips of each split.

    Raises:
        DataError: the folder holds something else.
    """
    known = {RAW, "original", "cache"}
    if folder.is_dir() and not {path.name for path in folder.iterdir()} <= known:
        raise DataError(
            f"{folder}: holds other files than this command writes; name another folder"
        )
    shutil.rmtree(folder, ignore_errors=True)
    # Without defects: it is the chain that is tested here, the reader has tests of its own.
    raw_ntu.write(storage.make_folder(folder) / RAW, CLIPS, defects=False)
    cache = build.open_or_build(folder / RAW, "efficientgcn", workers=1, folder=folder / "cache")
    config = ntu.Config(str(folder / RAW), preparation="efficientgcn")
    dataset = ntu.of_cache(cache, config)
    array_files.write(dataset, folder, "original", "xsub")
    return {"train": len(dataset.train), "val": len(dataset.val)}


@ending.command
def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = Parser(description=__doc__.split("\n\n")[0])
    parser.add_argument("config", type=Path, help="a train_infer_python.txt")
    parser.add_argument("mode", help="lite_train_lite_infer, or another that begins so")
    options = parser.parse_args(arguments)
    line = parameters.read(options.config)["infer_data"]
    if not options.mode.startswith(LITE):
        raise DataError(
            f"{options.mode}: takes the whole set, which may not be handed on; put it where the"
            " recipe beside the parameters file looks for it"
        )
    # The recordings that are inferred lie beside those that are trained on.
    folder = Path(line.value).parent
    ending.print_last_line({"folder": str(folder), **write(folder)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
