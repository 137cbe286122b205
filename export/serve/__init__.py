"""Live poses -> events, with numpy and ONNX Runtime alone: tracks, windows and the alarm rule
around a deployed network."""

from export.deployed.live import Live
from export.serve.recogniser import Answer, Pose, Recogniser
from export.serve.rule import Event

__all__ = ["Answer", "Event", "Live", "Pose", "Recogniser"]
