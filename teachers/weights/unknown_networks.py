"""Networks of the field that people bring and that are not built here, told by keys that no other
network has. To read one all the same would be to read half of it: their blocks share the names of the
networks that are known."""

from __future__ import annotations

import re
from collections.abc import Iterable

# By the names in the authors' repositories, without wrappers' prefixes.
_DISTINCTIVE = {
    "Shift-GCN": r"(Linear_weight|Feature_Mask|shift_in\.xpos)$",
    "AAGCN (attention-enhanced 2s-AGCN)": r"\.conv_(ta|sa)\.weight$",
    "2s-AGCN": r"\.conv_a\.\d+\.weight$",
    "MS-G3D": r"^(gcn3d\d|sgcn\d)\.",
    "DGNN": r"\.dgn\.source_M$",
    "Decoupling GCN": r"\.DecoupleA$",
    "InfoGCN": r"(^to_joint_embedding\.|^A_vector$|^l\d+\.agcn\.)",
    "HD-GCN": r"\.(aha|conv_down)\.",
    "TD-GCN": r"^l\d+\.gcn1\.convs1\.",
    "Hyperformer": r"^l\d+\.attn\.(rpe|outer|w1|pe_proj)",
    "DG-STGCN": r"\.tcn\.add_coeff$",
    "PoseC3D (SlowOnly)": r"^layer1\.0\.conv1\.conv\.weight$",
    "PoseC3D (C3D)": r"^conv1a\.conv\.weight$",
    "SkateFormer": r"joint_person_embedding",
    "STTFormer": r"\.to_qkvs\.weight$",
    "SGN": r"^(tem_embed|dif_embed)\.",
    "MotionBERT": r"(^|\.)blocks_(st|ts)\.",
}
_PATTERNS = {network: re.compile(pattern) for network, pattern in _DISTINCTIVE.items()}


def named(names: Iterable[str]) -> tuple[str, str] | None:
    """(network, the key it is told by) of a checkpoint with these key names; None where no key is
    distinctive."""
    names = list(names)
    for network, pattern in _PATTERNS.items():
        for name in names:
            if pattern.search(name):
                return network, name
    return None
