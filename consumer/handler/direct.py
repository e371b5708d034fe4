"""Wakes without the log: the same conditional up, for a known policy; what came of it waits until the log is back."""

import asyncio
from dataclasses import replace
from datetime import datetime
from itertools import count

from consumer.core.asks import replicas_after
from consumer.core.case import pause_in_force
from consumer.core.inputs import CycleCause
from consumer.core.outcome import Command, derived_id
from consumer.core.policy import PauseKind
from consumer.core.reasons import Code, because, stamp
from consumer.core.service import Direction, Phase, ServiceKey
from consumer.handler.approach import Answer
from consumer.handler.crew import Crew
from consumer.handler.lane import Workshop
from consumer.handler.mentions import Mentions
from consumer.handler.notices import of_answer
from consumer.handler.results import Result
from consumer.ports import Moment, TargetBusyError, TargetError, TargetInvalidError, TargetKey
from schemas.scale_result import ResultCause

_WAKES_FIRST = 0


class DirectWakes:
    """Any handler carries them out, whoever owns the service's partition: that it is conditional makes it safe."""

    def __init__(self, shop: Workshop, crew: Crew, mentions: Mentions) -> None:
        self._shop = shop
        self._crew = crew
        self._mentions = mentions
        self._counter = count(1)
        self._under_way: dict[ServiceKey, asyncio.Future[TargetError | None]] = {}

    async def wake(self, key: ServiceKey, trace: str | None) -> None:
        """Return once the cluster took it, or had it already; whoever asks meanwhile shares the call and its end."""
        under_way = self._under_way.get(key)
        if under_way is None:
            asked = self._shop.clock.read()
            command = self._command(key, trace, asked.now)
            # From here on no sleep is begun that was decided without it: nothing else in the cluster would stop one,
            # where the target is up already.
            self._shop.knocks.came(key)
            self._crew.asked_for(key)
            under_way = self._under_way[key] = asyncio.get_running_loop().create_future()
            self._shop.spawn(self._carry_out(command, asked, under_way))
        # Shielded: a caller that gives up must not end it for the others.
        if (error := await asyncio.shield(under_way)) is not None:
            raise error

    async def _carry_out(self, command: Command, asked: Moment, end: asyncio.Future[TargetError | None]) -> None:
        error: TargetError | None = TargetBusyError(f"{command.key}: the handler is stopping; ask again")
        try:
            error = await self._tried(command, asked)
        finally:
            del self._under_way[command.key]
            self._shop.knocks.ended(command.key, self._shop.clock.read().now)
            end.set_result(error)

    async def _tried(self, command: Command, asked: Moment) -> TargetError | None:
        slots = self._shop.slots
        await slots.granted(slots.ask(_WAKES_FIRST))
        teller = self._crew.teller(command.key)
        teller.hold()
        try:
            answer = await self._shop.approach.answer(command, first=True)
            self._shop.vigil.answered()
            if answer.phase is Phase.ACCEPTED:
                teller.say(self._result(command, answer, asked))
                self._tell(command, answer)
            else:
                self._shop.knocks.found_up(command.key, command.triggered_at)
                self._mentions.note(self._result(command, answer, asked))
        except TargetError as error:
            if not isinstance(error, TargetBusyError):
                # One that is busy is asked again by the next request, and the one after that.
                self._tell(command, Answer(Phase.FAILED, None), str(error))
            return error
        finally:
            teller.free()
            slots.give_back()
        return None

    def _command(self, key: ServiceKey, trace: str | None, now: datetime) -> Command:
        """The up that the worker would have sent; raises TargetError when it would have sent none."""
        policy = self._shop.scene.policy(key)
        if policy is None and not self._shop.scene.listed:
            raise TargetBusyError(f"{key}: the policies are not read yet; ask again")
        if policy is None:
            raise TargetInvalidError(f"{key} has no policy in force here; nothing is known of its target")
        pause = pause_in_force(policy, now)
        if pause is not None and pause.kind is PauseKind.ALL:
            raise TargetInvalidError(f"{key} is paused altogether; remove its annotation to let it wake")
        before_sleep = self._shop.scene.awake_replicas(TargetKey(key.namespace, policy.target))
        cause = CycleCause("direct", next(self._counter))
        command = Command(
            id=derived_id("direct", key, cause),
            seq=0,
            key=key,
            target=policy.target,
            direction=Direction.UP,
            replicas=replicas_after(policy, before_sleep),
            expect=None,
            reason=because(Code.ADOPTED, woken=stamp(now)),
            autoscaler=policy.autoscaler,
            policy_uid=policy.uid,
            policy_hash=policy.hash,
            triggered_at=now,
            decided_at=now,
            cause=cause,
            trace=trace,
        )
        if withheld := self._shop.scene.withholds(command, now):
            raise TargetInvalidError(withheld.message)
        return command

    def _tell(self, command: Command, answer: Answer, trouble: str = "") -> None:
        """Tell people now: the log may be away for long."""
        resource = self._shop.scene.resource(command.key)
        self._shop.herald.tell(of_answer(command, answer.phase, answer.view, trouble, resource))

    def _result(self, command: Command, answer: Answer, asked: Moment) -> Result:
        moment = self._shop.clock.read()
        return Result(
            command.key,
            command.target,
            answer.phase,
            answer.view,
            replace(moment, sure=moment.sure and asked.sure),
            command=command,
            attempts=1,
            trace=command.trace,
            cause=ResultCause.DIRECT,
        )
