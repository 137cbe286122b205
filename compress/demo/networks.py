"""Deployed networks as the page holds them: what `deployed.json` says, the graph, and ONNX Runtime to
compare with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from compress.demo import graph
from compress.demo.graph import Graph
from export import deployed, serving
from export.deployed import Description, Live, counting, models
from export.serve import recogniser
from teachers.errors import DataError
from teachers.storage import typed_json

FORMAT = "onnx"


@dataclass(frozen=True)
class Network:
    """A deployed network.

    Attributes:
        title: what the page calls it, such as "student".
        size_bytes: of its model file.
    """

    title: str
    description: Description
    graph: Graph
    size_bytes: int
    served: deployed.Served

    @property
    def live(self) -> Live:
        """Windows, as live poses have them."""
        return recogniser.resolved(self.description.live or Live(), self.description)

    def about(self) -> dict[str, Any]:
        """What the page's preprocessing must know; joints from 0."""
        content = counting.from_zero(typed_json.encode(self.description))
        recorded = counting.from_zero({"recorded": typed_json.encode(self.description.recording)})
        return {
            "input": list(self.description.input.clip),
            "preprocessing": content["preprocessing"],
            "recorded": recorded["recorded"],
            "temperature": self.description.temperature,
            "views": self.description.views,
        }

    def bones(self) -> list[list[int]]:
        """Pairs of joints to draw, from 0; none where clips have other joints than the network."""
        skeleton = self.description.skeleton
        if skeleton.joints != self.description.recording.joints:
            return []
        return [[child - 1, parent - 1] for child, parent in skeleton.bones]

    def logits(self, raw: np.ndarray, name: str) -> np.ndarray:
        """(views, K) of a clip (C, T, V, M) as it was recorded, by ONNX Runtime.

        Raises:
            DataError: it has no finite answer to this clip. ExportMismatch: the model does
                not return one number for each class.
        """
        views = [
            serving.prepare(raw, self.description, name, number)
            for number in range(self.description.views)
        ]
        found = np.asarray(self.served.run(np.stack(views))[0])
        if not serving.finite_rows(found, len(views), self.description, name).all():
            raise DataError(f"{name}: {serving.NOT_FINITE}")
        return found


def read(folder: Path, title: str, on_note: Callable[[str], None]) -> Network:
    """The network of a deployed folder.

    Args:
        on_note: is told what a person should know of the folder.
    Raises:
        CheckpointError, ExportMismatch: as `featherbone predict`. DataError: it holds no ONNX file,
            or one that the page cannot compute.
    """
    served = deployed.open_deployed(folder, FORMAT, on_note=on_note)
    (path,) = models.model_files(folder, served.description, (FORMAT,))[FORMAT]
    return Network(title, served.description, graph.read(path), path.stat().st_size, served)


def check_alike(first: Network, second: Network) -> None:
    """
    Raises:
        DataError: the two cannot answer the same clips with the same classes.
    """
    one, other = first.description, second.description
    if one.classes != other.classes:
        raise DataError(
            f"{second.title}: has other classes than the {first.title} ({len(other.classes)} and"
            f" {len(one.classes)}); give two folders of one data set"
        )
    kinds = [(each.recording.channels, each.recording.joints) for each in (one, other)]
    if kinds[0] != kinds[1]:
        raise DataError(
            f"{second.title}: takes {kinds[1][0]} numbers of {kinds[1][1]} joints, the"
            f" {first.title} {kinds[0][0]} of {kinds[0][1]}; give two folders of one data set"
        )
