"""The steps ptq, qat and weight_only: what they hand on, that files compute it, layers that stay
precise, resuming, bad input."""

import json
from dataclasses import replace

import numpy as np
import paddle
import pytest
from paddle import nn

from compress import pipeline, recipe, run
from compress.evaluation import accuracy
from compress.evaluation.record import Accuracy
from compress.steps import ptq, qat, quantising, weight_only
from compress.steps.work import State, Work
from compress.training import fit
from compress.training.curves import Curves
from compress.training.model import Model
from compress.training.settings import Config, Dml, Kd
from export import deployed, package, runtimes, verify
from export.flat.flatten import flatten
from export.flat.layers import FoldedConv, prepared
from export.formats import onnx_format, paddle_model
from export.quantize import bits, layer_report, trainable
from export.quantize.quantized import Quantized
from teachers import networks
from teachers.errors import CheckpointError, ExportMismatch, RecipeError
from teachers.weights.identity import Identity

QUICK = Config(epochs=2, lr=1e-4, batch_size=8, weight_decay=0.0, kd=Kd())


@pytest.fixture(scope="module")
def network(tiny_spec, randomised):
    paddle.seed(3)
    return randomised(networks.build(tiny_spec))


@pytest.fixture(scope="module")
def float_bytes(network, tmp_path_factory):
    """Bytes of each float32 file."""
    folder = tmp_path_factory.mktemp("float")
    files = [
        *paddle_model.save(flatten(network), network.spec, folder),
        *onnx_format.save(flatten(network), network.spec, folder),
    ]
    return {path.name: path.stat().st_size for path in files}


@pytest.fixture()
def work(tmp_path, tiny_dataset) -> Work:
    return Work(tmp_path, tiny_dataset, Curves(tmp_path / "curves"), 1, Identity("origin"))


@pytest.fixture()
def state(network, tiny_view) -> State:
    return State(Model(network, tiny_view), (Model(network, tiny_view),))


@pytest.fixture()
def clips(tiny_dataset):
    return np.stack(tiny_dataset.val.clips)


def snr(found, expected) -> float:
    return layer_report.decibels(
        float(np.square(expected).sum()), float(np.square(found - expected).sum())
    )


STEPS = [
    (ptq, ptq.Config(clips=8)),
    (ptq, ptq.Config(clips=8, bias_correction=False, method="min_max", skip=("l4",))),
    (qat, qat.Config(clips=8, train=QUICK)),
    (weight_only, weight_only.Config("int8")),
    (weight_only, weight_only.Config("int4", group=8)),
    (weight_only, weight_only.Config("float16", precision=(("l1", "float32"),))),
]


@pytest.mark.parametrize(
    "step, config", STEPS, ids=lambda value: getattr(value, "__name__", "").rpartition(".")[2]
)
def test_files_compute_what_the_step_hands_on(
    step, config, state, work, clips, tmp_path, float_bytes
):
    network, before = state.student.network, networks.state_of(state.student.network)
    assert step.spec_after(network.spec, config) == network.spec
    after = step.apply(state, config, work, 1).state
    assert all(
        np.array_equal(value, before[name])
        for name, value in networks.state_of(after.student.network).items()
    )
    exact, handed = runtimes.in_process(network)(clips), runtimes.in_process(after.served())(clips)
    assert (5 if step is qat else 10) < snr(handed, exact) < 100
    found = package.build(
        network, tmp_path / "deploy", ("paddle", "onnx"), {}, clips, exact, after.quantized
    )
    description = deployed.read(tmp_path / "deploy")
    assert sum(description.precision.values()) == len(bits.layers(flatten(network)))
    served = deployed.predictors(tmp_path / "deploy", description)
    assert snr(served["onnx"](clips), handed) > (30 if step is not weight_only else 80)
    assert (
        found["paddle"]["max_rel_diff"] <= 1e-5
        and np.abs(served["paddle"](clips) - exact).max() > 1e-6
    )
    for file in ("model.onnx", "model.pdiparams"):
        assert (tmp_path / "deploy" / file).stat().st_size < float_bytes[file]


def bias_of(flat) -> np.ndarray:
    return {one.name: one for one in flat.parameters()}["fc.b"].numpy()


def test_rounding_activations_leaves_the_mean_of_the_logits(state, work):
    """Of the clips that it was calibrated on, in files that round activations and no others."""
    network = state.student.network
    found = ptq.apply(state, ptq.Config(clips=8), work, 1).state.quantized
    clips = quantising.clips_of(state, work, 8)
    exact = runtimes.in_process(network)(clips).mean(0)

    def off(quantized) -> float:
        logits = runtimes.in_process(quantized.simulated(network))(clips)
        return float(np.abs(logits.mean(0) - exact).max())

    assert off(found) < 1e-4 < off(replace(found, shift={}))
    assert set(found.shift) == {"fc.b"}
    alone = bias_of(found.flat(network, activations=False))
    assert np.array_equal(alone, bias_of(flatten(network)))
    np.testing.assert_allclose(bias_of(found.flat(network)), alone + found.shift["fc.b"])
    plain = ptq.apply(state, ptq.Config(clips=8, bias_correction=False), work, 1).state.quantized
    # Ranges around zero shift otherwise.
    assert plain.shift == {} == found.symmetric().shift


def test_each_file_has_the_shift_that_its_rounding_needs(state, work, clips, tmp_path):
    network = state.student.network
    found = ptq.apply(state, ptq.Config(clips=8), work, 1).state.quantized
    # A shift that no rounding could hide.
    moved = replace(found, shift={"fc.b": np.full_like(found.shift["fc.b"], 100)})
    exact = runtimes.in_process(network)(clips)
    package.build(network, tmp_path, ("paddle", "onnx"), {}, clips, exact, moved)
    served = deployed.predictors(tmp_path, deployed.read(tmp_path))
    assert np.abs(served["onnx"](clips) - exact).min() > 50
    assert np.abs(served["paddle"](clips) - exact).max() < 50


def test_quantised_network_is_read_back_and_refuses_others(
    state, work, clips, tmp_path, randomised
):
    found = ptq.apply(state, ptq.Config(clips=8), work, 1).state.quantized
    found.save(tmp_path / "q.npz")
    again = Quantized.read(tmp_path / "q.npz")
    assert again.plan == found.plan and again.constants.keys() == found.constants.keys()
    assert np.array_equal(again.shift["fc.b"], found.shift["fc.b"])
    network = state.student.network
    assert np.array_equal(
        runtimes.in_process(again.simulated(network))(clips),
        runtimes.in_process(found.simulated(network))(clips),
    )
    with pytest.raises(
        RecipeError, match="quantised constants: ctrgcn has no 'l.*they are of another network"
    ):
        Quantized(found.plan, {"l9.values.b": np.zeros((3, 1), "float32")}).flat(network)
    with pytest.raises(RecipeError, match="has no 'fc.b' of shape .*they are of another network"):
        replace(found, shift={"fc.b": np.zeros(99, "float32")}).flat(network)
    from teachers import storage

    storage.write_arrays(tmp_path / "other.npz", {}, {"spec": {}})
    with pytest.raises(CheckpointError, match="other.npz: has no plan of a quantised network"):
        Quantized.read(tmp_path / "other.npz")


@pytest.mark.parametrize(
    "constant, end, message",
    [
        (float("nan"), 1.0, "q.npz: l1.values.b holds NaN"),
        (0.5, float("nan"), "q.npz: range of l1.out holds NaN"),
        (0.5, float("inf"), "q.npz: range of l1.out holds infinity"),
    ],
)
def test_constants_and_ranges_that_are_not_finite_are_refused(tmp_path, constant, end, message):
    plan = bits.Plan({}, {"l1.out": (0.0, end)})
    constants = {"l1.values.b": np.array([constant], "float32")}
    Quantized(plan, constants).save(tmp_path / "q.npz")
    with pytest.raises(CheckpointError, match=message):
        Quantized.read(tmp_path / "q.npz")


def test_a_file_that_is_not_what_was_simulated_is_refused(clips):
    expected = np.random.default_rng(0).standard_normal((len(clips), 3))
    with pytest.raises(
        ExportMismatch, match=r"f.onnx: does not compute what was simulated.*signal to noise"
    ):
        verify.require_close(
            "f.onnx",
            lambda x: expected[: len(x)] + np.random.default_rng(1).standard_normal((len(x), 3)),
            clips[:16],
            expected[:16],
        )
    with pytest.raises(ExportMismatch):
        verify.require_close(
            "f.onnx", lambda x: np.full((len(x), 3), np.nan), clips[:16], expected[:16]
        )


def test_training_while_rounded_learns_and_leaves_what_it_started_from(state, work, clips):
    outcome = qat.apply(state, qat.Config(clips=8, train=replace(QUICK, epochs=3)), work, 1)
    assert len(outcome.history) == 3 and {"ce", "kd", "loss"} <= outcome.history[0]["train"].keys()
    assert outcome.history[-1]["train"]["loss"] < outcome.history[0]["train"]["loss"]
    start = {one.name: one.numpy() for one in flatten(state.student.network).parameters()}
    learnt = outcome.state.quantized.constants
    assert learnt.keys() == start.keys() and sum(
        np.abs(learnt[name] - start[name]).max() > 0 for name in start
    ) > 0.8 * len(start)


def test_training_that_only_harms_ends_with_what_rounding_alone_gives(
    state, work, clips, monkeypatch
):
    found = iter([80.0, 79.0, 60.0])

    def judged(trainer):
        clips = trainer.job.dataset.val
        measured = {"student/top1": next(found), "student/top5": 100.0, "student/loss": 1.0}
        return measured, np.zeros((len(clips), len(trainer.job.dataset.classes)))

    monkeypatch.setattr(fit, "_validate", judged)
    outcome = qat.apply(state, qat.Config(clips=8, train=QUICK), work, 1)
    assert (
        outcome.best_epoch == 0
        and len(outcome.history) == 2
        and "no epoch was better than the 80.00 % of rounding alone" in outcome.notes[-1]
        and outcome.start_top1 == 80.0
    )
    start = ptq.apply(state, ptq.Config(clips=8), work, 1).state.quantized
    assert outcome.state.quantized.plan == start.plan
    for activations in (True, False):
        own, expected = (
            runtimes.in_process(each.simulated(state.student.network, activations))(clips)
            for each in (outcome.state.quantized, start)
        )
        np.testing.assert_allclose(own, expected, rtol=1e-5, atol=1e-5)


def test_what_rounding_alone_costs_is_known_of_the_clips_that_judge(state, work, tmp_path):
    work = replace(work, folder=tmp_path)
    outcome = qat.apply(state, qat.Config(clips=8, train=QUICK), work, 1)
    evaluation = work.evaluation(state.student.view)
    alone = ptq.apply(state, ptq.Config(clips=8), work, 1).state.served()
    scores, _ = accuracy.score("alone", runtimes.in_process(alone), evaluation)
    assert outcome.start_top1 == scores.top1
    # A run that is resumed reads it back; a step that an older release finished has none.
    pipeline._save(outcome, work, 1)
    assert pipeline._read(work, 1, state).start_top1 == scores.top1
    held = replace(work, dataset=replace(work.dataset, holdout=work.dataset.val), prepared={})
    held = replace(held, folder=tmp_path / "held")
    assert qat.apply(state, qat.Config(clips=8, train=QUICK), held, 1).start_top1 is None


def test_trainable_network_computes_what_is_simulated(network, clips):
    flat = flatten(network)
    flat = prepared(flat, integers=True)
    plan = bits.make_plan(flat, "float32", overrides={"l1": "int8_weights", "l4": "int8"})
    learner = trainable.Trainable(flatten(network), plan, network.spec)
    expected = runtimes.in_process(Quantized(plan).simulated(network, activations=False))(clips)
    # Relative: the last bits of logits of 27 differ between CPUs
    assert verify.difference(runtimes.in_process(learner)(clips), expected)["max_rel_diff"] < 1e-5
    learner(paddle.to_tensor(clips)).sum().backward()
    assert all(
        value.grad is not None and np.isfinite(value.grad.numpy()).all()
        for value in learner.parameters()
    )


@pytest.mark.parametrize("kind", ["int8", "int8_weights"])
def test_straight_through_rounds_alike_and_passes_gradients(kind):
    weight = np.random.default_rng(0).standard_normal((12, 40, 1, 3)).astype("float32")
    for axis in (0, 1):
        x = paddle.to_tensor(weight, stop_gradient=False)
        y = trainable.straight_through(x, axis, kind)
        assert np.abs(y.numpy() - bits.rounded(weight, axis, kind)).max() < 1e-6
        y.sum().backward()
        assert (x.grad.numpy() == 1).all()


def test_auto_keeps_the_most_harmful_layer_precise(state, work, clips, monkeypatch):
    """One layer is rounded to almost nothing; that one has to be found."""
    real = bits.rounded

    def rounded(weight, axis, kind, group=32):
        return (
            np.sign(weight).astype("float32")
            if kind == "int8_weights" and weight.shape == spoilt
            else real(weight, axis, kind, group)
        )

    flat = flatten(state.student.network)
    spoilt = next(
        one.parameter.numpy().shape for one in bits.weights(flat) if one.layer == "l5.values"
    )
    monkeypatch.setattr(bits, "rounded", rounded)
    labels = runtimes.in_process(state.student.network)(clips).argmax(1)
    # The float network is right everywhere, in a copy: the data set is that of other tests, too.
    right = replace(work.dataset.val, labels=labels)
    work = replace(work, dataset=replace(work.dataset, val=right), prepared={})
    outcome = weight_only.apply(state, weight_only.Config("int8", auto=0.0), work, 1)
    plan = outcome.state.quantized.plan
    assert (
        plan.precision["l5.values"] == "float16" and plan.precision["l1.values"] == "int8_weights"
    )
    assert (
        "auto: 100.00 % with l5.values" in outcome.notes[1]
        and "best of them" not in outcome.notes[1]
    )


def test_auto_never_makes_a_layer_coarser_than_the_recipe_keeps_it(state, work, monkeypatch):
    """The layer that harms most is in float16 by the recipe; what `ptq` would offer has eight."""
    worst = ["l5.values", "l1.values", "l4.values", "l8.values"]
    monkeypatch.setattr(quantising, "harmful", lambda found, state, clips: worst)
    reached = {"float": 90.0, "all quantised": 50.0}
    monkeypatch.setattr(
        quantising.accuracy,
        "score",
        lambda title, predict, evaluation: (Accuracy(reached.get(title, 89.5), 100.0, 0.0), None),
    )
    config = ptq.Config(clips=8, auto=1.0, precision=(("l5.values", "float16"),))
    outcome = ptq.apply(state, config, work, 1)
    precision = outcome.state.quantized.plan.precision
    assert precision["l5.values"] == "float16" and precision["l1.values"] == "int8_weights"
    assert "with l1.values kept precise" in outcome.notes[1]


@pytest.mark.parametrize("names", [1, 2, 5, 6])
def test_a_drop_that_cannot_be_met_gives_the_best_and_says_so(
    names, state, work, clips, monkeypatch
):
    """Half of the names are tried at most, rounded down, and the search ends whether their number
    is odd or even."""
    scores, tried = {0: 50.0, 1: 60.0, 2: 55.0, 3: 58.0}, []

    def score(title, predict, evaluation):
        tried.append(
            0 if title == "all quantised" else int(title.split()[0]) if title != "float" else None
        )
        top1 = 90.0 if title == "float" else scores[tried[-1]]
        return Accuracy(top1, 100.0, top1), None

    monkeypatch.setattr(quantising.accuracy, "score", score)
    monkeypatch.setattr(
        quantising,
        "harmful",
        lambda found, state, clips: [
            "l5.values",
            "l1.values",
            "l4.values",
            "l8.values",
            "fc.w",
            "l1.out",
        ][:names],
    )
    outcome = ptq.apply(state, ptq.Config(clips=8, auto=1.0), work, 1)
    assert (
        tried == {1: [None, 0], 2: [None, 0, 1], 5: [None, 0, 1, 2], 6: [None, 0, 1, 2, 3]}[names]
    )
    kept = [
        layer
        for layer, kind in outcome.state.quantized.plan.precision.items()
        if kind == "int8_weights"
    ]
    assert kept == (["l5.values"] if names > 1 else [])
    assert (
        f"auto: {60 if names > 1 else 50:.2f} % with {'l5.values' if names > 1 else 'nothing'} kept"
        " precise; more than the allowed 1 points" in outcome.notes[1]
    )
    assert "this is the best of them" in outcome.notes[1]


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ptq.Config(clips=0), "clips: ranges need at least one training clip, got 0"),
        (lambda: ptq.Config(auto=-1.0), "auto: must be from 0 to 100"),
        (
            lambda: ptq.Config(skip=("l1",), precision=(("l1", "float16"),)),
            "skip, precision: 'l1' is named twice",
        ),
        (lambda: qat.Config(precision=(("l1", "int4_weights"),)), "int4_weights cannot be trained"),
        (
            lambda: qat.Config(train=replace(QUICK, ema=0.9)),
            "train.ema: an average of weights is not what is rounded",
        ),
        (
            lambda: qat.Config(train=replace(QUICK, kd=None, dml=Dml(freeze_teacher=False))),
            "train.dml.freeze_teacher: the float network stays frozen",
        ),
        (lambda: weight_only.Config("int4", group=1), "group: must be at least 2"),
    ],
)
def test_impossible_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "step, config",
    [
        (ptq, ptq.Config(skip=("l77",))),
        (qat, qat.Config(precision=(("l77", "float16"),))),
        (weight_only, weight_only.Config("int8", skip=("l77",))),
    ],
)
def test_a_layer_that_does_not_exist_is_found_before_any_work(step, config, tiny_spec):
    with pytest.raises(
        RecipeError,
        match=(
            rf"{step.__name__.rpartition('.')[2]}: precision: the network has no layer 'l77' \(it"
            r" has l1"
        ),
    ):
        step.spec_after(tiny_spec, config)


def test_a_network_that_cannot_be_quantised_is_named_before_any_work(tiny_spec, monkeypatch):
    class Bare(FoldedConv):
        def forward(self, x):
            return super().forward(x[:, :, :, :, 0])

    bare = nn.Sequential(Bare("l1", "values", np.ones((2, 3, 1, 1), "float32"), np.zeros(2)))
    monkeypatch.setattr(quantising, "flatten", lambda network: bare)
    with pytest.raises(
        RecipeError,
        match=(
            "ptq: calibration: this network marks no values that could be kept in eight bits; take"
            " int8_weights"
        ),
    ):
        ptq.spec_after(tiny_spec, ptq.Config())


def test_steps_behind_a_quantising_step_are_refused():
    with pytest.raises(
        RecipeError,
        match=r"steps: \[2\].train: comes after ptq, which decides the files; put ptq last",
    ):
        recipe.load(
            "ctrgcn_lite_dml",
            ["steps=[{prune_layers: {drop: [l10]}}, {ptq: {}}, {train: {epochs: 1, lr: 0.1}}]"],
        )
    recipe.load(
        "ctrgcn_lite_dml",
        ["steps=[{ptq: {enabled: false}}, {train: {epochs: 1, lr: 0.1}}, {qat: {}}]"],
    )


def test_a_run_ends_in_eight_bits_and_resumes(tmp_path, monkeypatch, capsys):
    """Layer report in report and page, plan beside the weights; resumed, the finished step is read
    back to the same files."""
    monkeypatch.chdir(tmp_path)
    tiny = [
        "--recipe",
        "ctrgcn_lite_dml",
        "--output",
        "out",
        *(
            part
            for one in (
                "data.train_clips=24",
                "data.val_clips=12",
                "teacher.width=8",
                "teacher.train.epochs=1",
                "budget.max_top1_drop=100",
                # Three blocks are as good as ten for what is tested, and a third of the time.
                "steps=[{prune_layers: {drop: [l2, l3, l4, l6, l7, l9, l10]}}, {ptq: {clips: 6}}]",
                # The files that compute in eight bits.
                "export.formats=[onnx]",
            )
            for part in ("-o", one)
        ),
    ]
    assert run.main(tiny) == 0
    said = json.loads(capsys.readouterr().out.splitlines()[-1])
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["layer_report"][-1]["layer"] == "logits" and report["steps"][1]["notes"][
        0
    ].endswith("layers int8")
    page = (tmp_path / "out" / "report.html").read_text()
    worst = min(report["layer_report"][:-1], key=lambda row: row["snr_db"])["layer"]
    # Both kinds of layers have histograms, and the folder that they are of has a card.
    assert all(row["shares"] for name in ("layer", "weight") for row in report[f"{name}_report"])
    assert '<svg class="histogram"' in page and (tmp_path / "out" / "MODEL_CARD.md").exists()
    assert "Where rounding costs accuracy" in page and f"skip: [{worst}]" in page
    assert Quantized.read(tmp_path / "out" / "weights" / "quantized.npz").plan.ranges
    model = (tmp_path / "out" / "deploy" / "model.onnx").read_bytes()
    assert run.main([*tiny, "--resume"]) == 0
    assert "step 2: was finished before" in capsys.readouterr().err
    assert (tmp_path / "out" / "deploy" / "model.onnx").read_bytes() == model and said[
        "total_bytes"
    ] < 600_000
