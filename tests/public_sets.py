"""A small set in the layout that each recipe for public data reads: a few generated clips, by the
writers that the readers' own tests use."""

from __future__ import annotations

from pathlib import Path

import test_babel
import test_ntu
import test_nw_ucla
import test_pyskl

from benchmarks import raw_ntu
from compress.recipe.types import Recipe

NPZ = {
    ("ntu60", "xsub"): "NTU60_CS.npz",
    ("ntu60", "xview"): "NTU60_CV.npz",
    ("ntu120", "xsub"): "NTU120_CSub.npz",
    ("ntu120", "xset"): "NTU120_CSet.npz",
}
# Two clips to train on and two to test with, whichever of subject, camera and setup decides.
RECORDED = {
    "ntu60": ("S001C001P003R001A001", "S002C002P001R001A060"),
    "ntu120": ("S017C001P003R001A001", "S018C002P001R001A120"),
}


def write(loaded: Recipe, folder: Path) -> Path:
    """A set for the recipe below `folder`; what `data.root` must be."""
    edition, *_ = loaded.name.split("_")
    benchmark = getattr(loaded.data.config, "benchmark", None)
    family = loaded.teacher.members[0].network.name
    if loaded.data.name == "ntu" and family == "efficientgcn":
        return _recordings(edition, folder)
    if loaded.data.name == "ntu":
        classes = 60 if edition == "ntu60" else 120
        return test_ntu.write_npz(folder / NPZ[edition, benchmark], classes=classes).parent
    if loaded.data.name == "babel":
        return test_babel.write(folder, benchmark)
    if loaded.data.name == "nw_ucla":
        for name in ("a01_s01_e00_v01", "a08_s01_e00_v02", "a12_s01_e00_v03", "a01_s02_e00_v03"):
            test_nw_ucla.write(folder / "all_sqe", name)
        return folder
    return _annotations(loaded, benchmark, folder)


def _recordings(edition: str, folder: Path) -> Path:
    for name in RECORDED[edition]:
        for replication in (1, 2):
            frames = raw_ntu.frames_of(replication)
            path = folder / f"{name.replace('R001', f'R00{replication}')}.skeleton"
            path.write_bytes(raw_ntu.text(frames))
    return folder


def _annotations(loaded: Recipe, benchmark: str | None, folder: Path) -> Path:
    if loaded.skeleton.joints == 25:
        clips = test_pyskl.five(test_pyskl.solid, persons=2)
    else:
        clips = test_pyskl.five(test_pyskl.flat, persons=2, V=loaded.skeleton.joints)
    names = test_pyskl.NAMES
    begin = f"{benchmark}_" if benchmark else ""
    split = {f"{begin}{part}": list(names[part]) for part in names}
    return test_pyskl.write(folder / f"{loaded.name}.pkl", clips, split=split)
