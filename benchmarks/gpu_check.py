"""What of training and prediction holds on a GPU: run once by whoever has one, and paste the last
line, which is JSON. Nobody has run it on a GPU yet; `--device cpu` checks the script itself.

Run: python benchmarks/gpu_check.py [--device gpu] [--width 64] [--clips 512] [--batch 32]

Checks: logits against the CPU's, with TF32 as it is and off; a training step's gradients against the
CPU's; losses of one epoch in float32 and under amp; two epochs of one seed, bit for bit; a gradient
scaler that resumes; ONNX Runtime's CUDA provider, where onnxruntime-gpu is installed; seconds a step,
clips a second of the loader, memory.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

if __package__ in (None, ""):
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
import paddle

from compress.data import loader
from compress.data.dataset import Dataset, Split
from compress.evaluation.evaluate import EvaluationSet
from compress.inputs import crop_resize, view as views
from compress.process import device
from compress.training import checkpoint, objectives
from compress.training.curves import NoCurves
from compress.training.epoch import run_epoch
from compress.training.model import Model
from compress.training.settings import Config
from compress.training.trainer import Job, Trainer
from compress.training.watch import Watch
from export.flat.flatten import flatten
from export.formats import onnx_format
from export.runtimes import in_process, ort
from teachers import ctrgcn, networks
from teachers.skeleton import NTU_25
from teachers.terminal import ending
from teachers.terminal.arguments import Parser
from teachers.terminal.output import say
from teachers.weights import identity

# Of the largest logit: what verification of exported files allows, and what TF32's ten bits leave.
EXACT = 1e-5
ROUGH = 1e-2
# Of the mean loss of an epoch, that of amp may be off so much.
CLOSE = 0.05


def main(arguments: list[str] | None = None) -> int:
    """The command; returns 0 if everything holds."""
    return _main(arguments)


@ending.command
def _main(arguments: list[str] | None) -> int:
    parser = Parser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu")
    parser.add_argument("--width", type=int, default=64, help="channels of the first block")
    parser.add_argument("--clips", type=int, default=512)
    parser.add_argument("--batch", type=int, default=32)
    options = parser.parse_args(arguments)
    name = device.select(options.device)
    on_gpu = name.startswith("gpu")
    dataset = _dataset(options.clips)
    spec = ctrgcn.default_spec(12, NTU_25, 64, 2, 3, ctrgcn.Config(options.width))
    figures: dict[str, object] = {"device": name, "paddle": paddle.__version__}
    if on_gpu:
        figures["gpu"] = paddle.device.cuda.get_device_name()
        figures["capability"] = list(paddle.device.cuda.get_device_capability())
        figures["cuda"] = paddle.version.cuda()
    checks = _parity(spec, dataset, name, options.batch, figures)
    checks |= _training(spec, dataset, options.batch, on_gpu, figures)
    if ort.has_cuda():
        checks |= _onnx_runtime(spec, dataset, options.batch, figures)
    for check, holds in checks.items():
        say(f"{'holds ' if holds else 'FAILS '} {check}")
    if not on_gpu:
        say("on a CPU: amp, TF32 and memory were not looked at")
    ending.print_last_line({**figures, "checks": checks})
    return int(not all(checks.values()))


def _dataset(clips: int) -> Dataset:
    rng = np.random.default_rng(0)
    values = rng.normal(0, 0.3, (clips, 3, 80, 25, 2)).astype("float32")
    labels = np.arange(clips, dtype=np.int64) % 12
    # Something to learn, so that a loss falls: each class moves a joint of its own.
    for clip, label in zip(values, labels, strict=True):
        clip[:, :, label] += np.sin(np.arange(80, dtype="float32") / 4)[None, :, None]
    split = Split(tuple(f"clip{index}" for index in range(clips)), list(values), labels)
    classes = tuple(str(label) for label in range(12))
    return Dataset("check", split, split, classes, NTU_25, 2, 3, "check")


def _parity(spec, dataset: Dataset, name: str, batch: int, figures: dict) -> dict[str, bool]:
    clips = np.stack([clip[:, :64] for clip in dataset.train.clips[:batch]])
    paddle.set_device("cpu")
    paddle.seed(1)
    weights = networks.state_of(networks.build(spec))

    def computed(on: str) -> tuple[np.ndarray, np.ndarray]:
        """(logits, the gradient of their mean square on the first convolution's weights)."""
        paddle.set_device(on)
        network = networks.build(spec)
        networks.load_state(network, weights, "the same weights")
        network.eval()
        logits = in_process(network)(clips)
        paddle.square(network(paddle.to_tensor(clips))).mean().backward()
        parameter = next(p for p in network.parameters() if p.ndim == 4 and p.grad is not None)
        return logits, parameter.grad.numpy()

    reference = computed("cpu")
    checks = {}
    # TF32 is on by default; verification of files needs it off, or its reference on the CPU.
    settings: list[tuple[str, str | None]] = [("", None)]
    if name.startswith("gpu"):
        settings = [("TF32 on", "1"), ("TF32 off", "0")]
    for title, tf32 in settings:
        if tf32 is not None:
            wanted = tf32 == "1"
            paddle.set_flags({"FLAGS_allow_tf32_cublas": wanted, "FLAGS_allow_tf32_cudnn": wanted})
        apart = [
            float(np.abs(found - before).max() / np.abs(before).max())
            for found, before in zip(computed(name), reference, strict=True)
        ]
        figures[f"logits, gradients apart {title}".strip()] = apart
        allowed = ROUGH if tf32 == "1" else EXACT
        checks[f"logits as on the CPU {title}".strip()] = apart[0] <= allowed
        checks[f"gradients as on the CPU {title}".strip()] = apart[1] <= 10 * allowed
    paddle.set_device(name)
    return checks


def _onnx_runtime(spec, dataset: Dataset, batch: int, figures: dict) -> dict[str, bool]:
    clips = np.stack([clip[:, :64] for clip in dataset.train.clips[:batch]])
    paddle.set_device("cpu")
    network = networks.build(spec)
    network.eval()
    with tempfile.TemporaryDirectory() as folder:
        (model,) = onnx_format.save(flatten(network), spec, Path(folder))
        reference, found = ort.onnx_runtime(model)(clips), ort.on_gpu(model)(clips)
    apart = float(np.abs(found - reference).max() / np.abs(reference).max())
    figures["ONNX Runtime's CUDA provider apart"] = apart
    return {"ONNX Runtime's CUDA provider as on the CPU": apart <= EXACT}


def _training(spec, dataset: Dataset, batch: int, on_gpu: bool, figures: dict) -> dict[str, bool]:
    checks = {}
    losses, seconds, trainer = _epoch(spec, dataset, batch, amp=False)
    again, _, _ = _epoch(spec, dataset, batch, amp=False)
    figures["losses"] = [round(float(loss), 5) for loss in losses]
    figures["seconds_a_step"] = seconds
    figures["loader_clips_a_second"] = _loader_rate(trainer.job, batch)
    checks["the loss falls"] = bool(losses[-3:].mean() < losses[:3].mean())
    # cuDNN adds in any order unless it is told not to; run with FLAGS_cudnn_deterministic=1 too.
    figures["bit_equal_again"] = bool(np.array_equal(losses, again))
    checks["the same losses again"] = bool(np.allclose(losses, again, rtol=1e-2))
    if on_gpu:
        figures["memory_bytes"] = paddle.device.cuda.max_memory_allocated()
        mixed, seconds, trainer = _epoch(spec, dataset, batch, amp=True)
        figures["losses_amp"] = [round(float(loss), 5) for loss in mixed]
        figures["seconds_a_step_amp"] = seconds
        off = abs(mixed.mean() - losses.mean()) / losses.mean()
        checks["amp learns as float32 does"] = bool(off <= CLOSE)
        checks["amp resumes"] = _resumes(trainer)
    return checks


def _epoch(spec, dataset: Dataset, batch: int, amp: bool) -> tuple[np.ndarray, float, Trainer]:
    """(the loss of every batch, seconds a step without the first, the trainer)."""
    paddle.seed(2)
    view = views.build("crop_resize", crop_resize.Config(), dataset)
    config = Config(epochs=1, lr=0.02, batch_size=batch, warmup_epochs=0.2, amp=amp)
    watch = Watch(NoCurves(), "check")
    job = Job(
        "check",
        {"student": Model(networks.build(spec), view)},
        {},
        config,
        objectives.build(config),
        dataset,
        lambda seen: EvaluationSet(dataset.val, seen),
        1,
        Path("unused"),
        identity.of(["check"]),
        watch,
    )
    watch.begin("amp" if amp else "float32", "student", 1, [], len(dataset.val))
    trainer = Trainer(job)
    trainer.teach(checkpoint.Progress())
    times = []
    step = trainer.step

    def timed(*arguments):
        started = time.perf_counter()
        result = step(*arguments)
        # Read: a GPU works on after the call.
        float(result[0]["loss"])
        times.append(time.perf_counter() - started)
        return result

    trainer.__dict__["step"] = timed
    try:
        _, losses = run_epoch(trainer, 0)
    finally:
        watch.end()
    return losses, float(np.median(times[1:])), trainer


def _loader_rate(job: Job, batch: int) -> float:
    view = job.views[0]
    chunks = loader.cut(np.arange(len(job.dataset.train)), batch)
    started = time.perf_counter()
    batches = loader.batches(
        job.dataset.train, view.augment, chunks, (1,), whole=view.augment_batch
    )
    seen = sum(len(labels) for _, labels in batches)
    return seen / (time.perf_counter() - started)


def _resumes(trainer: Trainer) -> bool:
    """Whether a gradient scaler comes back from a state file as it was."""
    settings = identity.of(["check"])
    fresh = Trainer(trainer.job)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state.npz"
        progress = checkpoint.Progress(1)
        checkpoint.save(path, progress, trainer.saved, trainer.optimizer, trainer.scaler, settings)
        checkpoint.restore(path, fresh.saved, fresh.optimizer, fresh.scaler, settings)
    assert trainer.scaler is not None and fresh.scaler is not None  # both are of amp
    before, after = trainer.scaler.state_dict(), fresh.scaler.state_dict()
    return json.dumps({k: np.asarray(v).tolist() for k, v in before.items()}) == json.dumps(
        {k: np.asarray(v).tolist() for k, v in after.items()}
    )


if __name__ == "__main__":
    sys.exit(main())
