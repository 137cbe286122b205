"""Remove whole blocks by id; the weights of the blocks that stay are copied by block id."""

from __future__ import annotations

from dataclasses import dataclass, replace

import paddle

from compress.steps.work import Outcome, State, Work
from teachers import networks
from teachers.networks import Spec


@dataclass(frozen=True)
class Config:
    """Keys of a `prune_layers` step."""

    drop: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.drop:
            raise ValueError("drop: name at least one block, for example [l10]")
        if len(set(self.drop)) < len(self.drop):
            raise ValueError("drop: names a block twice")


def title(config: Config) -> str:
    """What the step does, in words."""
    return f"remove {'block' if len(config.drop) == 1 else 'blocks'} {', '.join(config.drop)}"


def spec_after(spec: Spec, config: Config) -> Spec:
    """The student's spec after the step.

    Raises:
        RecipeError: a block that the network does not have.
    """
    return networks.module(spec.network).drop_blocks(spec, config.drop)


def apply(state: State, config: Config, work: Work, number: int) -> Outcome:
    """The student without `config.drop`. A tensor whose shape a removed neighbour changed starts
    afresh and is named."""
    before = state.student.network
    spec = spec_after(before.spec, config)
    # For the few tensors that start afresh: they are the same when a killed run repeats the step
    paddle.seed(work.seed * 1000 + number)
    student = networks.build(spec)
    # By block id, not by place: behind a gap every block would get the weights of another.
    fresh = networks.copy_by_name(networks.state_of(before), student, config.drop)
    student.eval()
    notes: tuple[str, ...] = ()
    if fresh:
        # A few names say which block it is; a wide one would fill the page
        more = f" and {len(fresh) - 6} more" if len(fresh) > 6 else ""
        names = f"{', '.join(fresh[:6])}{more}"
        notes = (f"fresh weights, since a removed block changed their shape: {names}",)
    return Outcome(replace(state, student=replace(state.student, network=student)), notes=notes)
