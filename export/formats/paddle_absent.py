"""Persons who are not in a clip cost nothing in Paddle's program, and change nothing; as
`export.formats.onnx_absent` does it for ONNX."""

from __future__ import annotations

import numpy as np
import paddle
from paddle import nn

from export.flat.persons import Entry, Head
from export.formats.onnx_absent import of_some_persons
from teachers import networks
from teachers.errors import ExportMismatch
from teachers.networks import Spec

# What they are called in the file, and so in the byte budget.
PREFIX = "absent"
# Largest difference of a logit, relative to the largest: none was ever seen on the same machine.
TOLERANCE = 1e-5


def skipping(flat: nn.Sequential, spec: Spec) -> nn.Layer:
    """A network that computes only the rows of persons who are there, or `flat` itself: one of a
    single person has nobody to leave out, and one without a flat form of its own no rows.

    Args:
        flat: in the form for Paddle, its weights as they are stored.
    Raises:
        ExportMismatch: the network does not answer the same.
    """
    entry, head = flat[0], flat[len(flat) - 1]
    if spec.input_shape[3] < 2 or not (isinstance(entry, Entry) and isinstance(head, Head)):
        return flat
    present = Present(flat, spec)
    present.eval()
    clips = paddle.to_tensor(of_some_persons(spec))
    with paddle.no_grad():
        expected = flat(clips).numpy()
        found = present(clips).numpy()
    apart = np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-12)
    if not apart <= TOLERANCE:
        raise ExportMismatch(
            "without the persons who are not in a clip the program for Paddle answers otherwise:"
            f" logits differ by {apart:.1e} of the largest (allowed {TOLERANCE:.0e}); set"
            " `export.skip_absent: false`"
        )
    return present


class Present(nn.Layer):
    """A flat network of persons who are there: (N, C, T, V, M) -> logits (N, K).

    A person who is not there, whose channels are those of `teachers.networks.absent`, leaves the
    blocks with features that depend on no clip; they are a constant here.
    """

    def __init__(self, flat: nn.Sequential, spec: Spec):
        super().__init__()
        self.flat = flat
        person = paddle.to_tensor(networks.absent(spec).reshape(1, -1, 1, 1, 1))
        with paddle.no_grad():
            rows = self._entry.rows(person.expand([1, *spec.input_shape]))
            features = self._features(rows)
        self._keep("features", features)
        # Else it is a number in the program, which costs nothing.
        self._has_pattern = bool(person.any())
        if self._has_pattern:
            self._keep("person", person)
        # No runtime is made for a batch without rows, and in most clips the first person is there.
        self._keep("first", paddle.to_tensor(np.eye(1, spec.input_shape[3], dtype="bool")))

    def _keep(self, name: str, value: paddle.Tensor) -> None:
        value.name = f"{PREFIX}.{name}"
        self.register_buffer(name, value)

    # Not attributes: a layer that is two sublayers' would be stored under two names.
    @property
    def _entry(self) -> Entry:
        return self.flat[0]

    @property
    def _head(self) -> Head:
        return self.flat[len(self.flat) - 1]

    def _features(self, rows):
        x = self._entry.behind(rows)
        for number in range(1, len(self.flat) - 1):
            x = self.flat[number](x)
        return self._head.features(x)

    def forward(self, x):
        # Not the largest number: what is not one is somebody.
        person = self.person if self._has_pattern else 0.0
        there = paddle.logical_or(paddle.any(x != person, axis=[1, 2, 3]), self.first)
        index = paddle.nonzero(there.reshape([-1])).reshape([-1])
        rows = paddle.gather(self._entry.rows(x), index, axis=0)
        absent = paddle.tile(self.features, [paddle.shape(x)[0], 1])
        features = paddle.scatter(absent, index, self._features(rows))
        return self._head.classify(self._head.together(features))
