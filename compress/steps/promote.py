"""The student becomes the teacher of the steps that follow (two-stage distillation: full network
from full network, then the smaller one from the better full network). The gates still compare with
the recipe's own teacher."""

from __future__ import annotations

from dataclasses import dataclass, replace

from compress.steps.work import Outcome, State, Work
from teachers import networks
from teachers.networks import Spec


@dataclass(frozen=True)
class Config:
    """A `promote` step has no keys."""


def title(config: Config) -> str:
    """What the step does, in words."""
    return "the student becomes the teacher"


def spec_after(spec: Spec, config: Config) -> Spec:
    """The student's spec after the step: the same."""
    return spec


def apply(state: State, config: Config, work: Work, number: int) -> Outcome:
    """A frozen copy of the student, with its input, as the one teacher."""
    # A copy: the student itself goes on being trained and pruned
    teacher = networks.copy_of(state.student.network)
    return Outcome(replace(state, teacher=(replace(state.student, network=teacher, weight=1.0),)))
