"""Joints as `deployed.json` counts them: all from 0 since its version 2.

In memory, as in recipes, weights files and the literature, bones and the centre of a skeleton count
from 1, and the other joints of preprocessing steps from 0; version 1 wrote both as they were.
"""

from __future__ import annotations

from typing import Any

# Keys of a preprocessing step, of a skeleton and of what was recorded that count from 1 in memory.
STEP_KEYS = ("bones",)
SKELETON_KEYS = ("bones", "stream_bones")
RECORDED_KEYS = ("repair_bones",)


def from_zero(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a description with all joints counted from 0."""
    return _shifted(content, -1)


def from_one(content: dict[str, Any]) -> dict[str, Any]:
    """What `from_zero` made, as it is in memory."""
    return _shifted(content, 1)


def _shifted(content: dict[str, Any], by: int) -> dict[str, Any]:
    # The content may be a stranger's: what is not of the form stays, and the schema reports it.
    changed = dict(content)
    skeleton = content.get("skeleton")
    if isinstance(skeleton, dict):
        changed["skeleton"] = skeleton | {
            key: _pairs(skeleton[key], by) for key in SKELETON_KEYS if key in skeleton
        }
        if "centre" in skeleton:
            changed["skeleton"]["centre"] = _number(skeleton["centre"], by)
    recorded = content.get("recorded")
    if isinstance(recorded, dict):
        changed["recorded"] = recorded | {
            key: _pairs(recorded[key], by) for key in RECORDED_KEYS if key in recorded
        }
    steps = content.get("preprocessing")
    if isinstance(steps, list):
        changed["preprocessing"] = [_step(step, by) for step in steps]
    return changed


def _step(step: Any, by: int) -> Any:
    if not isinstance(step, dict):
        return step
    return step | {key: _pairs(step[key], by) for key in STEP_KEYS if key in step}


def _pairs(pairs: Any, by: int) -> Any:
    if not isinstance(pairs, list):
        return pairs
    return [
        [_number(joint, by) for joint in pair] if isinstance(pair, list) else pair for pair in pairs
    ]


def _number(value: Any, by: int) -> Any:
    # `type`: True is an int in Python, and no joint.
    return value + by if type(value) is int else value
