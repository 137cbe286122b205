"""The fields of a protobuf message, read without the package `onnx`: what serves a model needs ONNX
Runtime alone, and looks at the file first.

Wire format: protobuf.dev/programming-guides/encoding; numbers of fields: onnx.proto. A field that may
stand once is yielded as often as it stands, for readers differ in which of them counts.
"""

from __future__ import annotations

from collections.abc import Iterator

# Of one file: those of this project have some thousands, their weights being one field a tensor.
MOST_FIELDS = 5_000_000

VARINT = 0
FIXED64 = 1
LENGTH = 2
FIXED32 = 5


class Message:
    """A message as bytes; `budget` is shared by all messages of a file."""

    def __init__(self, data: memoryview, budget: list[int] | None = None):
        self._data = data
        self._budget = [MOST_FIELDS] if budget is None else budget
        self._fields: dict[int, list[int | memoryview]] = {}
        self._read()

    def messages(self, number: int) -> Iterator[Message]:
        """The messages of a field; what is none raises ValueError."""
        for value in self._fields.get(number, ()):
            yield Message(_bytes(value), self._budget)

    def texts(self, number: int) -> list[str]:
        """The texts of a field."""
        values = self._fields.get(number, ())
        return [bytes(_bytes(value)).decode("utf-8", "replace") for value in values]

    def numbers(self, number: int) -> list[int]:
        """The whole numbers of a field."""
        values = self._fields.get(number, ())
        if not all(isinstance(value, int) for value in values):
            raise ValueError(f"field {number} is no number")
        return [value for value in values if isinstance(value, int)]

    def _read(self) -> None:
        place = 0
        while place < len(self._data):
            self._budget[0] -= 1
            if self._budget[0] < 0:
                raise ValueError(f"more than {MOST_FIELDS} fields")
            key, place = self._varint(place)
            value: int | memoryview
            if key & 7 == VARINT:
                value, place = self._varint(place)
            else:
                length = {FIXED64: 8, FIXED32: 4}.get(key & 7, 0)
                if key & 7 == LENGTH:
                    length, place = self._varint(place)
                elif not length:
                    raise ValueError(f"wire type {key & 7}")
                value = self._data[place : place + length]
                if len(value) < length:
                    raise ValueError("it is cut short")
                place += length
            self._fields.setdefault(key >> 3, []).append(value)

    def _varint(self, place: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 70, 7):
            if place >= len(self._data):
                raise ValueError("it is cut short")
            byte = self._data[place]
            place += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value, place
        raise ValueError("a number of more than ten bytes")


def _bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        # ValueError, as for all damage.
        raise ValueError("a number in place of a message")  # noqa: TRY004
    return value
