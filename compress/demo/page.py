"""The page as one string of HTML: style, script, networks and clips in it, and a policy by which a
browser lets nothing out of it and nothing in."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compress.demo.networks import Network
from compress.reporting import wording
from compress.reporting.design import PAGE
from compress.reporting.policy import policy
from export.serving import scores_of
from teachers.errors import DataError

HERE = Path(__file__).parent
TEMPLATE = "demo.html.j2"
# In this order: each uses what stands above it. All of it runs in the networks' threads.
ENGINE = (
    "numbers",
    "product",
    "elementwise",
    "shaping",
    "integers",
    "convolution",
    "network",
    "clip",
    "bodies",
    "repair",
    "answer",
    "worker",
)
SCRIPT = ("clips", "stage", "networks", "app")
# Frames a second of clips that do not say how fast they are.
USUAL_FPS = 30.0
# The sheet of all pages, and what this one has beside it.
SHEETS = (PAGE / "style.css", HERE / "page" / "demo.css")


@dataclass(frozen=True)
class Example:
    """A clip that the page holds.

    Attributes:
        label: its class; None where nobody knows it.
        raw: (C, T, V, M) float32 as it was recorded.
    """

    name: str
    label: int | None
    raw: np.ndarray


@dataclass(frozen=True)
class Page:
    """The page.

    Attributes:
        parts: bytes by what they are for; they add up to the file's.
        failed: clips that are not on it, and why, as `featherbone predict` says it.
    """

    text: str
    parts: dict[str, int]
    failed: tuple[dict[str, str], ...] = ()


def engine(names: Sequence[str] = ENGINE) -> str:
    """The interpreter's source, of these files."""
    return _joined("engine", names)


def render(networks: Sequence[Network], examples: Sequence[Example]) -> Page:
    """The page of one network, or of a teacher and its student.

    Args:
        examples: the clips that it opens with, but for those that a network cannot answer.
    Raises:
        ExportMismatch: a model that does not return one number for each class.
    """
    constants = [base64.b64encode(each.graph.constants).decode() for each in networks]
    answered, failed = _answered(networks, examples)
    clips = f"[{','.join(answered)}]"
    graphs = [_json(each.graph.graph) for each in networks]
    texts = {
        "interpreter": engine(),
        "script": _joined("page", SCRIPT),
        "style": "\n".join(path.read_text(encoding="utf-8") for path in SHEETS),
        "clips": clips,
    }
    counted = {name: len(text.encode()) for name, text in texts.items()}
    for network, weights, text in zip(networks, constants, graphs, strict=True):
        counted[f"{network.title}: weights"] = len(weights)
        counted[f"{network.title}: graph"] = len(text.encode())
    data = _data(networks, clips, graphs)
    # The table of parts is in the page that it counts: its digits are counted until they stay.
    total = 0
    parts: dict[str, int] = {}
    while True:
        parts = {**counted, "frame and labels": total - sum(counted.values()), "all": total}
        text = _html(networks, constants, texts, data, parts)
        if len(text.encode()) == total:
            return Page(text, parts, tuple(failed))
        total = len(text.encode())


def _html(
    networks: Sequence[Network],
    constants: list[str],
    texts: dict[str, str],
    data: str,
    parts: dict[str, int],
) -> str:
    # Late: only who wants the page waits for it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(HERE / "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    last = networks[-1]
    return environment.get_template(TEMPLATE).render(
        title=f"{last.description.network}: {len(last.description.classes)} classes, running in this page",
        lead=_lead(last),
        # Threads are made of the page itself.
        policy=policy(texts["script"], texts["style"], "worker-src blob:"),
        networks=[
            {
                "index": index,
                "title": each.title,
                "size": wording.size(each.size_bytes),
                "about": f"{each.description.network}, {each.graph.precision},"
                f" {wording.size(each.size_bytes)}",
            }
            for index, each in enumerate(networks)
        ],
        ratio=_ratio(networks),
        window=last.live.window,
        joints=last.description.recording.joints,
        skeleton=last.description.skeleton.name,
        parts=list(parts.items()),
        # Base64 has no letter that HTML knows; the sources are checked, and JSON is escaped.
        constants=[Markup(each) for each in constants],
        engine=Markup(texts["interpreter"]),
        script=Markup(texts["script"]),
        style=Markup(texts["style"]),
        data=Markup(data),
    )


def _lead(network: Network) -> str:
    description = network.description
    computes = "int8 levels" if network.graph.precision == "int8" else "float32"
    return (
        f"The deployed network itself, trained on {description.data}, computing in {computes}: no"
        " server, no runtime to install, and no request leaves this page."
    )


def _ratio(networks: Sequence[Network]) -> str:
    if len(networks) < 2:
        return ""
    first, last = (each.size_bytes for each in networks)
    return f"{100 * last / first:.0f} % of the teacher's bytes"


def _data(networks: Sequence[Network], clips: str, graphs: list[str]) -> str:
    last = networks[-1]
    shown = {
        "classes": list(last.description.classes),
        "recorded": last.about()["recorded"],
        "bones": last.bones(),
        "live": asdict(last.live),
        "fps": last.live.rate or USUAL_FPS,
        "networks": [{"title": each.title, "about": each.about()} for each in networks],
    }
    # Put together as text: what is counted is what is written.
    listed = ",".join(
        f'{_json(each)[:-1]},"graph":{graph}}}'
        for each, graph in zip(shown.pop("networks"), graphs, strict=True)
    )
    return f'{_json(shown)[:-1]},"networks":[{listed}],"examples":{clips}}}'


def _answered(
    networks: Sequence[Network], examples: Sequence[Example]
) -> tuple[list[str], list[dict[str, str]]]:
    """(JSON of the clips that all networks answer, the others with the reason)."""
    answered = []
    failed = []
    for each in examples:
        try:
            answered.append(_json(_example(each, networks)))
        except DataError as error:
            failed.append({"clip": each.name, "error": str(error)})
    return answered, failed


def _example(example: Example, networks: Sequence[Network]) -> dict[str, Any]:
    raw = np.ascontiguousarray(example.raw, dtype="<f4")
    expected = []
    for network in networks:
        logits = network.logits(raw, example.name)
        scores = scores_of(logits, network.description.temperature)
        # Seven digits are float32's own.
        rounded = [float(f"{value:.7g}") for value in logits.reshape(-1)]
        expected.append({"top": int(scores.argmax()), "logits": rounded})
    return {
        "name": example.name,
        "label": example.label,
        "dims": list(raw.shape),
        "data": base64.b64encode(raw.tobytes()).decode(),
        "expected": expected,
    }


def _joined(folder: str, names: Sequence[str]) -> str:
    text = "\n".join(
        ['"use strict";']
        + [(HERE / folder / f"{name}.js").read_text(encoding="utf-8") for name in names]
    )
    # Either would end or hide the script that it stands in.
    if "</script" in text.lower() or "<!--" in text:
        raise ValueError(f"compress/demo/{folder}: a source holds a tag of HTML")
    return text


def _json(content: Any) -> str:
    """JSON that may stand in a script of HTML, whatever a name in it is."""
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
