"""One generated NTU-like raw set, with defects, in every layout: counted right, and the same
network inputs from each.

Run: python benchmarks/layouts.py [--clips 2000] [--train]

The recordings (`raw_ntu.py`) are prepared, then written as CTR-GCN's `.npz`, PaddleVideo's `.npy`,
PYSKL's `.pkl` and a folder of own clips. `--train` also trains a narrow network on the recordings
for two epochs, kills the process after the first, and resumes.
"""

from __future__ import annotations

import csv
import json
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import teachers  # noqa: F401  (prepares the process for Paddle)

# isort: split
import numpy as np
import yaml

from benchmarks import raw_ntu
from compress import recipe as recipes
from compress.data.dataset import Dataset, Split
from compress.inputs.view import View
from compress.plan import load_data, tasks
from compress.process import console
from teachers.skeleton import NTU_25
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import show
from teachers.terminal.tables import Table

# CTR-GCN's and PaddleVideo's arrays have the longest NTU recording's length, zeros behind a clip.
FRAMES = 300
ROOT = Path(__file__).resolve().parents[1]


def padded(split: Split) -> np.ndarray:
    """(N, 3, FRAMES, 25, 2) float32."""
    found = np.zeros((len(split), 3, FRAMES, 25, 2), np.float32)
    for place, clip in zip(found, split.clips, strict=True):
        place[:, : clip.shape[1], :, : clip.shape[3]] = clip
    return found


def write_npz(dataset: Dataset, folder: Path) -> dict:
    """CTR-GCN's NTU60_CS.npz; returns the recipe's `data`."""
    arrays = {}
    for split, name in ((dataset.train, "train"), (dataset.val, "test")):
        arrays[f"x_{name}"] = (
            # CTR-GCN's layout: (N, T, M * V * C), the person slowest.
            padded(split).transpose(0, 2, 4, 3, 1).reshape(len(split), FRAMES, 150)
        )
        # One-hot, as the public script writes them.
        arrays[f"y_{name}"] = np.eye(60, dtype=np.float32)[split.labels]
    np.savez(folder / "NTU60_CS.npz", **arrays)
    return {"name": "ntu", "root": str(folder)}


def write_npy(dataset: Dataset, folder: Path) -> dict:
    """PaddleVideo's xsub folder; returns the recipe's `data`."""
    (folder / "xsub").mkdir()
    for split, name in ((dataset.train, "train"), (dataset.val, "val")):
        np.save(folder / "xsub" / f"{name}_data.npy", padded(split))
        with open(folder / "xsub" / f"{name}_label.pkl", "wb") as file:
            # A tuple of names and labels, as ST-GCN's generator of this layout writes it.
            pickle.dump((list(split.names), split.labels.tolist()), file)
    return {"name": "ntu", "root": str(folder)}


def write_pyskl(dataset: Dataset, folder: Path) -> dict:
    """PYSKL's annotation pickle; returns the recipe's `data`."""
    annotations = [
        {
            "frame_dir": name,
            "label": int(label),
            "total_frames": clip.shape[1],
            # (M, T, V, C); a view would pickle the whole array behind it.
            "keypoint": clip.transpose(3, 1, 2, 0).copy(),
        }
        for split in (dataset.train, dataset.val)
        for name, clip, label in zip(split.names, split.clips, split.labels, strict=True)
    ]
    with open(folder / "ntu60_3d.pkl", "wb") as file:
        pickle.dump(
            {
                "split": {
                    "xsub_train": list(dataset.train.names),
                    "xsub_val": list(dataset.val.names),
                },
                "annotations": annotations,
            },
            file,
        )
    return {"name": "pyskl", "root": str(folder / "ntu60_3d.pkl")}


def write_own(dataset: Dataset, folder: Path) -> dict:
    """A folder of own clips; returns the recipe's `data`."""
    (folder / "dataset.yaml").write_text(
        yaml.safe_dump(
            {
                "joints": 25,
                "edges": [list(bone) for bone in NTU_25.bones],
                "centre": NTU_25.centre,
                "persons": 2,
                "coordinates": 3,
                "classes": list(dataset.classes),
            }
        )
    )
    with open(folder / "labels.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "label", "split"])
        for split, name in ((dataset.train, "train"), (dataset.val, "val")):
            for clip_name, clip, label in zip(split.names, split.clips, split.labels, strict=True):
                np.save(folder / f"{clip_name}.npy", clip)
                rows.writerow([f"{clip_name}.npy", dataset.classes[label], name])
    return {"name": "own", "root": str(folder)}


LAYOUTS: dict[str, Callable[[Dataset, Path], dict]] = {
    "CTR-GCN .npz": write_npz,
    "PaddleVideo .npy": write_npy,
    "PYSKL .pkl": write_pyskl,
    "own clips": write_own,
}


def loaded(data: dict) -> tuple[Dataset, View]:
    """(the set, the view of a CTR-GCN at 64 frames on it) by way of a recipe."""
    recipe = recipes.load(
        "ctrgcn_lite_dml", [f"data={json.dumps(data)}", "input={name: crop_resize, frames: 64}"]
    )
    with console.reading() as progress:
        dataset = load_data(recipe, progress)
    return dataset, tasks(recipe, dataset)[1].view


def inputs(data: dict) -> dict[str, np.ndarray]:
    """Split and place of each clip -> what a network sees of it in validation, with the label
    beside it."""
    dataset, view = loaded(data)
    return {
        # By place, not by name: CTR-GCN's arrays hold no names.
        f"{part}/{index}": np.append(view.prepare(clip).reshape(-1), label)
        for part, split in (("train", dataset.train), ("val", dataset.val))
        for index, (clip, label) in enumerate(zip(split.clips, split.labels, strict=True))
    }


def compare(raw: dict, folder: Path) -> list[dict]:
    """A row for each layout: how many clips it has, and how many of their inputs are those of the
    recordings, number for number."""
    dataset, _ = loaded(raw)
    expected, rows = inputs(raw), []
    for name, write in LAYOUTS.items():
        place = folder / write.__name__
        place.mkdir()
        started = time.perf_counter()
        found = inputs(write(dataset, place))
        # Bit for bit: the layouts hold the same float32 numbers, so any difference is a reader's.
        same = sum(
            np.array_equal(found[key], expected[key]) for key in found.keys() & expected.keys()
        )
        rows.append(
            {
                "layout": name,
                "clips": len(found),
                "same": same,
                "wanted": len(expected),
                "seconds": time.perf_counter() - started,
            }
        )
    return rows


def train(raw: dict, folder: Path) -> dict:
    """Two epochs of a narrow network by the command, killed after the first and resumed:
    {"exit_code", "epochs", "resumed"}."""
    command = [
        sys.executable,
        str(ROOT / "compress" / "run.py"),
        "--recipe",
        "ctrgcn_lite_dml",
        "--output",
        "out",
    ]
    for one in (
        f"data={json.dumps(raw)}",
        "teacher.width=8",
        "teacher.train={epochs: 2, lr: 0.05}",
        "steps=[]",
        "budget.max_top1_drop=100",
    ):
        command += ["-o", one]
    # stdout is never read, and an unread pipe would fill up and stop the run.
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    for line in process.stderr or ():
        if "epoch   1/2" in line:
            # Not SIGINT: nothing may depend on a chance to tidy up.
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    done = subprocess.run(
        [*command, "--resume"], cwd=folder, capture_output=True, text=True, check=False
    )
    epochs = [line for line in done.stderr.splitlines() if "/2 " in line]
    return {
        "exit_code": done.returncode,
        # One epoch line alone: the first was not trained again.
        "resumed": len(epochs) == 1 and "epoch   2/2" in epochs[0],
    }


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--train", action="store_true", help="also train, kill and resume")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        planted = raw_ntu.write(folder / "raw", options.clips)
        raw = {"name": "ntu", "root": str(folder / "raw")}
        started = time.perf_counter()
        loaded(raw)
        seconds = time.perf_counter() - started
        report = json.loads(next((folder / "raw").rglob("report.json")).read_text())
        rows = compare(raw, folder)
        trained = train(raw, folder) if options.train else None
    cells = [
        (
            row["layout"],
            str(row["clips"]),
            f"{row['same']} of {row['wanted']}",
            f"{row['seconds']:.1f}",
        )
        for row in rows
    ]
    show(Table(("layout", "clips", "same inputs", "seconds to write and read"), cells))
    same = all(row["same"] == row["wanted"] == row["clips"] for row in rows)
    ending.print_last_line(
        {
            "planted": planted,
            "report": report,
            "prepared_seconds": round(seconds, 1),
            "rows": rows,
            "trained": trained,
        },
    )
    return 0 if same and (trained is None or trained["exit_code"] == 0) else 1


if __name__ == "__main__":
    sys.exit(main())
