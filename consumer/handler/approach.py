"""From a command to its answer: looks, judges and changes until there is one; never a change without its condition."""

from dataclasses import dataclass

from consumer.core.outcome import Command
from consumer.core.service import Direction, Phase
from consumer.handler.calls import Calls
from consumer.handler.judge import Apply, Conclude, Look, Obstacle, Sight, judge
from consumer.handler.scene import Scene
from consumer.handler.standby import Standby
from consumer.ports import TargetBusyError, TargetKey, TargetMovedError, TargetView

# Each round lost means that somebody else changed the target between our look and our call.
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a command."""

    phase: Phase
    view: TargetView | None
    obstacle: Obstacle | None = None


class Approach:
    """The calls for one command, alone with its target."""

    def __init__(self, scene: Scene, calls: Calls, standby: Standby) -> None:
        self._scene = scene
        self._calls = calls
        self._standby = standby

    async def answer(self, command: Command, *, first: bool) -> Answer:
        """Return the answer; `first` is whether no call was made for it before. Raises TargetError."""
        target = TargetKey(command.key.namespace, command.target)
        async with self._calls.alone_with(target):
            # A call that failed may have landed all the same, so what was known before it is not good enough.
            answer = await self._settle(command, target, self._scene.view(target) if first else None)
            # Before anybody else may have an answer of this target.
            self._standby.answered(command, answer.phase)
            return answer

    async def _settle(self, command: Command, target: TargetKey, view: TargetView | None) -> Answer:
        sight = Sight.WATCHED
        for _ in range(_ROUNDS):
            match judge(command, view, sight):
                case Look():
                    view, sight = await self._calls.look(target), Sight.READ
                case Apply(change):
                    if command.direction is Direction.ZERO:
                        await self._standby.make_way(command)
                    try:
                        return Answer(Phase.ACCEPTED, await self._calls.scale(target, change))
                    except TargetMovedError:
                        view, sight = await self._calls.look(target), Sight.REFUSED
                case Conclude(phase, obstacle):
                    return Answer(phase, view, obstacle)
        message = f"{target} was changed by somebody else {_ROUNDS} times while it was to be scaled; find out who does"
        raise TargetBusyError(message)
