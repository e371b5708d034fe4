"""Asks every trigger of many policies in one sweep: one timestamp, one deadline, every failure an Unknown."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import structlog

from consumer.core.answers import Answer, Answers, No, TriggerAnswers, Unknown, UnknownCause, Yes
from consumer.core.policy import Policy, Trigger
from consumer.core.service import ServiceKey
from consumer.core.window import Window
from consumer.ports import Scaler, Subject
from consumer.scalers.batcher import Batcher
from consumer.scalers.contract import Assignment
from consumer.scalers.registry import Registry, ScalerTypeError

log: Final = structlog.stdlib.get_logger(__name__)

SWEEP_LIMIT: Final = timedelta(seconds=20)
"""A sweep is over before the next one begins, 30 s later, however slow the servers are."""
_FORGOTTEN: Final = timedelta(minutes=15)
# Scalers that wait for the batcher get its own "timeout", with its detail; this is for those that hang elsewhere.
_GRACE: Final = 0.5
_QUESTIONS: Final = 3


@dataclass(slots=True)
class _Bench:
    """The scalers of one policy, made once and kept until its triggers change or it is gone."""

    policy: Policy
    swept: datetime
    scalers: tuple[Scaler | ScalerTypeError, ...] = ()
    window: Window | None = None

    def requests(self) -> Window | None:
        """The requests that the present sweep judges by."""
        return self.window


class SweepJudges:
    """Implements `Judges` with the scalers of a registry."""

    def __init__(self, registry: Registry, batcher: Batcher, *, limit: timedelta = SWEEP_LIMIT) -> None:
        self._registry = registry
        self._batcher = batcher
        self._limit = limit.total_seconds()
        self._benches: dict[ServiceKey, _Bench] = {}

    async def sweep(self, subjects: Sequence[Subject], now: datetime) -> Mapping[ServiceKey, Answers]:
        """Return answers for every subject; failures are Unknown, nothing is raised for bad measurements."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        deadline = started + self._limit
        benches = [await self._bench(subject, now) for subject in subjects]
        inquiries = [[_Inquiry(name, scaler, now) for name, scaler in _named(bench)] for bench in benches]
        async with self._batcher.round(now, deadline), asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(inquiry.run()) for each in inquiries for inquiry in each]
            # One alarm for all: a time-out for each answer would cost 10,000 services a fifth of the sweep.
            alarm = loop.call_at(deadline + _GRACE, _cancel, running)
        alarm.cancel()
        took = timedelta(milliseconds=round((loop.time() - started) * 1000))
        await self._close_forgotten(now)
        return {
            bench.policy.key: Answers(tuple(inquiry.result() for inquiry in each), took)
            for bench, each in zip(benches, inquiries, strict=True)
        }

    def window_of(self, policy: Policy) -> timedelta | None:
        """The longest request window that a trigger of this policy counts over, or None."""
        windows = (self._registry.window(trigger) for trigger in policy.triggers)
        return max((window for window in windows if window is not None), default=None)

    async def forget(self, key: ServiceKey) -> None:
        """Close the scalers of a policy that is gone."""
        bench = self._benches.pop(key, None)
        if bench is not None:
            await _close(bench.scalers)

    async def close(self) -> None:
        """Close every scaler and every connection."""
        for key in tuple(self._benches):
            await self.forget(key)
        await self._batcher.close()

    async def _bench(self, subject: Subject, now: datetime) -> _Bench:
        policy = subject.policy
        bench = self._benches.get(policy.key)
        # The hash leaves out the headers' values, the triggers hold them: a new token makes new scalers.
        if bench is None or (bench.policy.hash, bench.policy.triggers) != (policy.hash, policy.triggers):
            await self.forget(policy.key)
            bench = self._benches[policy.key] = _Bench(policy, now)
        if len(bench.scalers) != len(policy.triggers) or any(
            isinstance(each, ScalerTypeError) for each in bench.scalers
        ):
            await _close(bench.scalers)
            bench.scalers = tuple(self._scaler(trigger, bench) for trigger in policy.triggers)
        bench.window = subject.window
        bench.swept = now
        return bench

    def _scaler(self, trigger: Trigger, bench: _Bench) -> Scaler | ScalerTypeError:
        policy = bench.policy
        defaults = self._registry.defaults
        assignment = Assignment(policy.key, trigger, policy.cooldown, defaults, self._batcher, bench.requests)
        try:
            return self._registry.create(assignment)
        except ScalerTypeError as problem:
            return problem

    async def _close_forgotten(self, now: datetime) -> None:
        old = [key for key, bench in self._benches.items() if now - bench.swept > _FORGOTTEN]
        for key in old:
            await self.forget(key)


def _named(bench: _Bench) -> list[tuple[str, Scaler | ScalerTypeError]]:
    triggers = bench.policy.triggers
    return [
        (f"{trigger.type}#{index}", scaler)
        for index, (trigger, scaler) in enumerate(zip(triggers, bench.scalers, strict=True))
    ]


@dataclass(slots=True)
class _Inquiry:
    """The three questions to one scaler in one sweep; what it does not answer is unknown."""

    name: str
    scaler: Scaler | ScalerTypeError
    now: datetime
    answers: list[Answer] = field(default_factory=list)

    async def run(self) -> None:
        """Ask one question after the other: what the first asks brings the questions of all three along.

        The one that wakes comes first: whatever hangs behind it can not stop the way up.
        """
        if isinstance(self.scaler, ScalerTypeError):
            self.answers = [Unknown(UnknownCause.SCALER_ERROR, self.now, str(self.scaler))] * _QUESTIONS
            return
        for ask in (self.scaler.should_scale_from_zero, self.scaler.is_healthy, self.scaler.should_scale_to_zero):
            self.answers.append(await _guarded(ask, self.now))

    def result(self) -> TriggerAnswers:
        """What was answered; the rest took too long."""
        late = Unknown(UnknownCause.TIMEOUT, self.now, "the scaler did not answer before the sweep ended")
        from_zero, healthy, to_zero = (*self.answers, late, late, late)[:_QUESTIONS]
        return TriggerAnswers(self.name, healthy, to_zero, from_zero)


async def _guarded(ask: Callable[[datetime], Awaitable[object]], now: datetime) -> Answer:
    """Turn whatever a scaler does wrong into an Unknown, for its own service only."""
    try:
        answer = await ask(now)
    except TimeoutError as error:
        return Unknown(UnknownCause.TIMEOUT, now, f"the scaler gave up waiting: {error}"[:300])
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
        return Unknown(UnknownCause.SCALER_ERROR, now, f"{type(error).__name__}: {error}"[:300])
    if not isinstance(answer, Yes | No | Unknown):
        return Unknown(UnknownCause.SCALER_ERROR, now, f"the scaler returned {type(answer).__name__}, not an answer")
    return answer


def _cancel(running: Sequence[asyncio.Task[None]]) -> None:
    for task in running:
        task.cancel()


async def _close(scalers: Sequence[Scaler | ScalerTypeError]) -> None:
    for scaler in scalers:
        if isinstance(scaler, ScalerTypeError):
            continue
        try:
            async with asyncio.timeout(_GRACE):
                await scaler.close()
        except Exception as error:  # noqa: BLE001 - a plug-in that can not close must not stop the sweep
            log.warning("scaler_close_failed", scaler=type(scaler).__name__, error=type(error).__name__)
