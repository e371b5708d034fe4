"""What a command means for a target as it is seen now: look closer, change it, or say what is already true."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import assert_never

from consumer.core.outcome import Command, Expect
from consumer.core.service import Direction, Phase
from consumer.ports import Change, TargetView


class Sight(Enum):
    """How well the target is known."""

    WATCHED = auto()
    """By the watch, which may lag."""
    READ = auto()
    """Read just now for this command."""
    REFUSED = auto()
    """Read just now, after the cluster refused a change because the target had moved."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a command was not carried out: for machines (`code`) and people (`message`)."""

    code: str
    message: str
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """What is known is not enough: read the target."""


@dataclass(frozen=True, slots=True)
class Apply:
    """Make this change, if its condition holds."""

    change: Change


@dataclass(frozen=True, slots=True)
class Conclude:
    """Nothing is to be changed; this is the answer."""

    phase: Phase
    obstacle: Obstacle | None = None


Step = Look | Apply | Conclude


def judge(command: Command, view: TargetView | None, sight: Sight) -> Step:
    """Return the next step towards an answer; `view` None means that the target was never seen."""
    if view is None:
        return Look()
    match command.direction:
        case Direction.UP:
            return _up(command.replicas, view, sight)
        case Direction.ZERO:
            return _zero(command, view, sight)
        case Direction.PREPARE:
            return Conclude(Phase.DRAINING)
        case _:
            assert_never(command.direction)


def _up(wanted: int, view: TargetView, sight: Sight) -> Step:
    """At least `wanted`, never lower than now."""
    if view.replicas < wanted:
        return Apply(Change(expected=view.replicas, wanted=wanted))
    # A lagging watch must not talk us out of a wake: "already up" is only believed when just read.
    return Look() if sight is Sight.WATCHED else Conclude(Phase.UNCHANGED)


def _zero(command: Command, view: TargetView, sight: Sight) -> Step:
    """Only while the target is exactly what it was when this was decided."""
    expect = command.expect
    if expect is None:
        message = f"{command.key}: a zero without its expectation is not carried out; send uid, generation, replicas"
        return Conclude(Phase.SUPERSEDED, Obstacle("no-expectation", message))
    if _holds(expect, view) and sight is not Sight.REFUSED:
        return Apply(Change(expected=expect.replicas, wanted=0, resource_version=view.resource_version))
    if sight is Sight.WATCHED:
        return Look()
    if view.uid == expect.uid and view.replicas == 0:
        return Conclude(Phase.UNCHANGED)
    return Conclude(Phase.SUPERSEDED, Obstacle("moved", _moved(command, expect, view)))


def _holds(expect: Expect, view: TargetView) -> bool:
    seen = Expect(view.uid, view.generation, view.replicas)
    return seen == expect


def _moved(command: Command, expect: Expect, view: TargetView) -> str:
    return (
        f"{view.key} is not what it was when sleep was decided for {command.key}: then uid {expect.uid}, generation "
        f"{expect.generation}, {expect.replicas} replicas; now uid {view.uid}, generation {view.generation}, "
        f"{view.replicas} replicas, version {view.resource_version}; it is judged anew at the next cycle"
    )
