"""What a network that was trained on Kinect's joints is worth on clips of other skeletons, brought
to its own: top-1 on dumps that are made of the built-in bodies.

Run: python benchmarks/skeletons.py runs/ctrgcn_lite_dml/weights/student.npz [--csv FILE]

The network is one of a run on the built-in data; its validation clips are generated again, dumped
as each estimator would have them (`benchmarks/estimators.py`), and mapped by `map_joints`. No
estimator's error is added: what is measured is what the skeleton lacks. `off` is the median angle
between a mapped bone and the body's, over the bones that the skeleton has.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import teachers  # noqa: F401  (prepares the process for Paddle)

# isort: split
import numpy as np
import paddle

from benchmarks.estimators import dump, world_landmarks
from benchmarks.tables import write_csv
from compress.data import synthetic
from export.preprocess import joints, ops
from teachers.errors import CheckpointError
from teachers.skeleton import JOINT_NAMES, NTU_25, between
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import show
from teachers.terminal.tables import Table
from teachers.weights import checkpoints

SKELETONS = (
    "mediapipe_33",
    "coco_wholebody_133",
    "openpose_25",
    "halpe_26",
    "h36m_17",
    "coco_17",
    "openpose_18",
    "ucla_20",
)
# MediaPipe's world landmarks have the hips at the origin of every frame.
HIPS = "mediapipe_33, hips at the origin"
HALF_TURN = ("-x", "-y", "z")


def recorded(name: str, clip: np.ndarray) -> tuple[np.ndarray, dict]:
    """A dump of a clip (3, T, 25, 1) as row `name` has it, and the step that brings it to NTU-25."""
    if name == HIPS:
        landmarks = world_landmarks(dump(clip, "mediapipe_33"))
        return landmarks, joints.step(between("mediapipe_33", "ntu_25"), HALF_TURN)
    return dump(clip, name), joints.step(between(name, "ntu_25"))


def angles(clip: np.ndarray, mapped: np.ndarray) -> dict[tuple[int, int], np.ndarray]:
    """Degrees between the bones of a body and of a clip that was mapped to it, in the frames that
    show it; bones of length zero, of joints that are filled, are left out."""
    present = (clip != 0).any(axis=(0, 2))[:, 0]
    found = {}
    for child, parent in NTU_25.bones:
        wanted = (clip[:, present, child - 1, 0] - clip[:, present, parent - 1, 0]).T
        bone = (mapped[:, present, child - 1, 0] - mapped[:, present, parent - 1, 0]).T
        lengths = np.linalg.norm(wanted, axis=1) * np.linalg.norm(bone, axis=1)
        if (lengths > 1e-6).all():
            cosines = np.clip((wanted * bone).sum(axis=1) / lengths, -1, 1)
            found[child, parent] = np.degrees(np.arccos(cosines))
    return found


def measure(name: str, network, steps: list[dict], clips: list[np.ndarray]) -> dict:
    """The row of one skeleton."""
    inputs = []
    off = []
    for clip in clips:
        raw, step = recorded(name, clip)
        inputs.append(ops.apply(raw, (step, *steps)))
        off += [angle for bone in angles(clip, ops.apply(raw, (step,))).values() for angle in bone]
    with paddle.no_grad():
        logits = network(paddle.to_tensor(np.stack(inputs))).numpy()
    labels = np.arange(len(clips)) % logits.shape[1]
    map_ = between("mediapipe_33" if name == HIPS else name, "ntu_25")
    return {
        "skeleton": name,
        "selected": 25 - len(map_.derived) - len(map_.filled),
        "derived": len(map_.derived),
        "filled": len(map_.filled),
        "off_degrees": round(float(np.median(off)), 2),
        "top1": round(100 * float((logits.argmax(1) == labels).mean()), 2),
    }


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("weights", help="student.npz of a run on the built-in data")
    parser.add_argument("--clips", type=int, default=240, help="validation clips")
    parser.add_argument(
        "--seed", type=int, default=1, help="the run's seed, of which clips are made"
    )
    parser.add_argument("--csv", type=Path, help="write the table as CSV")
    options = parser.parse_args(arguments)
    network, about = checkpoints.load_with_about(options.weights)
    if about.get("data") != "synthetic" or network.spec.skeleton.joints != len(
        JOINT_NAMES["ntu_25"]
    ):
        raise CheckpointError(f"{options.weights}: give weights of a run on the built-in data")
    steps = list(about["preprocessing"])
    config = synthetic.Config()
    clips = [synthetic.clip(config, options.seed, "val", index) for index in range(options.clips)]
    rows = [measure(name, network, steps, clips) for name in ("ntu_25", *SKELETONS, HIPS)]
    for row in rows:
        row["kept"] = round(100 * row["top1"] / rows[0]["top1"], 1)
    titles = ("skeleton", "selected", "derived", "filled", "off", "top-1", "kept")
    cells = [
        (
            row["skeleton"],
            str(row["selected"]),
            str(row["derived"]),
            str(row["filled"]),
            f"{row['off_degrees']:.1f}°",
            f"{row['top1']:.2f} %",
            f"{row['kept']:.1f} %",
        )
        for row in rows
    ]
    show(Table(titles, cells))
    if options.csv:
        write_csv(options.csv, rows, list(rows[0]))
    ending.print_last_line({"rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
