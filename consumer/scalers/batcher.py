"""Asks what one sweep wants to know in as few requests as possible, each answer as if it were asked alone."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from consumer.core.answers import UnknownCause
from consumer.core.readings import Blame, Failure, Question, Reading
from consumer.ports import Measurements
from consumer.scalers.chunks import LARGEST, Chunk, attribute, join, pack

_CONCURRENT: Final = 8
"""Requests at once for one server; Prometheus itself works on 20 queries at once."""
_REQUEST_LIMIT: Final = timedelta(seconds=5)
"""KubeElasti's time-out of one query."""
_REMEMBERED: Final = 10_000
"""Queries of which we remember in what company they failed."""
_STEP: Final = 8


class Asked(StrEnum):
    """What became of a request; for counting."""

    ANSWERED = "answered"
    FAILED = "failed"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"


def _uncounted(result: Asked) -> None:
    """Count nothing."""


class _Slot:
    """One question's answer, and who waits for it; whoever gives up waiting takes nothing from the others."""

    __slots__ = ("_outcome", "_waiting")

    def __init__(self) -> None:
        self._outcome: Reading | Failure | None = None
        self._waiting: list[asyncio.Future[Reading | Failure]] = []

    async def answer(self) -> Reading | Failure:
        """Return the answer as soon as it is there."""
        if self._outcome is not None:
            return self._outcome
        # A future each: to shield a shared one costs two turns of the loop for every one of 10,000 services.
        waiter: asyncio.Future[Reading | Failure] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        return await waiter

    def resolve(self, outcome: Reading | Failure) -> None:
        """Give the answer to everyone who waits."""
        self._outcome = outcome
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(outcome)
        self._waiting.clear()


class Round:
    """The questions of one sweep at one time; equal ones are asked once."""

    def __init__(self, now: datetime, deadline: float) -> None:
        self.now = now
        self.deadline = deadline
        self.answered: set[str] = set()
        self._slots: dict[Question, _Slot] = {}
        self._waiting: list[Question] = []
        self._wake = asyncio.Event()
        self._closed = False

    def slot(self, question: Question) -> _Slot:
        """Where the answer will be; the first call puts the question into the next wave."""
        slot = self._slots.get(question)
        if slot is None:
            slot = self._slots[question] = _Slot()
            self._waiting.append(question)
            self._wake.set()
        return slot

    def resolve(self, question: Question, outcome: Reading | Failure) -> None:
        """Give the answer to everyone who asked."""
        self._slots[question].resolve(outcome)

    def close(self) -> None:
        """Nobody will ask any more."""
        self._closed = True
        self._wake.set()

    async def waves(self) -> AsyncIterator[list[Question]]:
        """Yield the questions that came up together, wave by wave, until the round is closed."""
        while True:
            await self._wake.wait()
            count = -1
            # Let every scaler that can run say what it wants before the first request is written.
            while count != len(self._waiting):
                count = len(self._waiting)
                await asyncio.sleep(0)
            self._wake.clear()
            wave, self._waiting = self._waiting, []
            if wave:
                yield wave
            if self._closed:
                return


_current: ContextVar[Round | None] = ContextVar("elasti_round", default=None)


class Batcher:
    """The one way from scalers to Prometheus; implements `Measure`."""

    def __init__(
        self,
        measurements: Measurements,
        *,
        count: Callable[[Asked], None] = _uncounted,
        request_limit: timedelta = _REQUEST_LIMIT,
        concurrent: int = _CONCURRENT,
        remembered: int = _REMEMBERED,
    ) -> None:
        self._measurements = measurements
        self._count = count
        self._request_limit = request_limit
        self._concurrent = concurrent
        self._remembered = remembered
        self._doors: dict[str, asyncio.Semaphore] = {}
        # The largest chunk that a query may be in, for those that were in a chunk that failed.
        self._widths: dict[Question, int] = {}

    @asynccontextmanager
    async def round(self, now: datetime, deadline: float) -> AsyncIterator[None]:
        """Batch what is asked inside; all of it is answered, or Unknown, by the deadline (the loop's time)."""
        current = Round(now, deadline)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._serve(current))
            token = _current.set(current)
            try:
                yield
            finally:
                _current.reset(token)
                current.close()

    def expect(self, question: Question, now: datetime) -> None:
        """Announce a question, so that it can travel with the first one that is awaited."""
        if (current := _round_at(now)) is not None:
            current.slot(question)

    async def ask(self, question: Question, now: datetime) -> Reading | Failure:
        """Return what the query gives at `now`; outside of a round it is asked alone, at once."""
        if (current := _round_at(now)) is None:
            deadline = asyncio.get_running_loop().time() + self._request_limit.total_seconds()
            return await self._request(question, now, deadline)
        return await current.slot(question).answer()

    async def close(self) -> None:
        """Close every connection."""
        await self._measurements.close()

    async def _serve(self, current: Round) -> None:
        async with asyncio.TaskGroup() as tasks:
            async for wave in current.waves():
                for chunk in pack((question, self._widths.get(question, LARGEST)) for question in wave):
                    tasks.create_task(self._settle(chunk, current, tasks))

    async def _settle(self, chunk: Chunk, current: Round, tasks: asyncio.TaskGroup) -> None:
        outcome = await self._asked(chunk, current)
        if isinstance(outcome, tuple):
            self._resolve(chunk, outcome, current)
            return
        parts = chunk.parts()
        if len(parts) > 1 and _worth_splitting(outcome, chunk, current):
            if len(parts) == len(chunk.queries):
                # Some queries fail only in company; they and their neighbours stay apart for a while.
                self._narrow(chunk, 1)
            for part in parts:
                tasks.create_task(self._settle(part, current, tasks))
            return
        if outcome.blame is not Blame.SERVER:
            self._narrow(chunk, max(1, len(chunk.queries) // _STEP))
        for question in chunk.questions():
            current.resolve(question, outcome)

    async def _asked(self, chunk: Chunk, current: Round) -> tuple[Reading, ...] | Failure:
        """One answer for each query of the chunk, or the failure of the whole."""
        if len(chunk.queries) == 1:
            outcome = await self._request(chunk.questions()[0], current.now, current.deadline)
            self._heard(chunk, outcome, current)
            return outcome if isinstance(outcome, Failure) else (outcome,)
        joined = join(chunk.queries)
        outcome = await self._request(Question(chunk.source, joined.text), current.now, current.deadline)
        self._heard(chunk, outcome, current)
        if isinstance(outcome, Failure):
            return outcome
        # A warning that data is missing does not say whose; only lone queries tell.
        apart = None if outcome.partial else attribute(outcome, chunk.queries, joined.label)
        return apart or Failure(UnknownCause.NOT_SUCCESS, Blame.QUERY, "the joined answer can not be taken apart")

    def _heard(self, chunk: Chunk, outcome: Reading | Failure, current: Round) -> None:
        if isinstance(outcome, Reading) or outcome.blame is Blame.QUERY:
            current.answered.add(chunk.source.server)

    def _resolve(self, chunk: Chunk, outcome: Iterable[Reading], current: Round) -> None:
        for question, reading in zip(chunk.questions(), outcome, strict=True):
            current.resolve(question, reading)
            if self._widths:
                self._widen(question)

    def _narrow(self, chunk: Chunk, width: int) -> None:
        """Next time these travel with fewer others, so that a query that fails each time costs the others nothing."""
        if len(self._widths) > self._remembered:
            self._widths.clear()
        self._widths.update((question, width) for question in chunk.questions())

    def _widen(self, question: Question) -> None:
        """A success lets a query travel in larger company again, step by step."""
        width = self._widths.pop(question, LARGEST) * _STEP
        if width < LARGEST:
            self._widths[question] = width

    async def _request(self, question: Question, now: datetime, deadline: float) -> Reading | Failure:
        server = question.source.server
        door = self._doors.setdefault(server, asyncio.Semaphore(self._concurrent))
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout_at(deadline), door:
                left = timedelta(seconds=max(deadline - loop.time(), 0.001))
                outcome = await self._measurements.ask(question, now, min(left, self._request_limit))
        except TimeoutError:
            late = f"{question.source} did not answer before the sweep ended"
            outcome = Failure(UnknownCause.TIMEOUT, Blame.SERVER, late)
        self._count(_result(outcome))
        return outcome


def _round_at(now: datetime) -> Round | None:
    current = _current.get()
    return current if current is not None and current.now == now else None


def _worth_splitting(failure: Failure, chunk: Chunk, current: Round) -> bool:
    """A query's fault is found by splitting; a server that answered nothing at all is not asked again."""
    match failure.blame:
        case Blame.QUERY:
            return True
        case Blame.EITHER:
            return chunk.source.server in current.answered
        case Blame.SERVER:
            return False


def _result(outcome: Reading | Failure) -> Asked:
    match outcome:
        case Reading():
            return Asked.ANSWERED
        case Failure(cause=UnknownCause.TIMEOUT):
            return Asked.TIMEOUT
        case Failure(cause=UnknownCause.UNREACHABLE):
            return Asked.UNREACHABLE
        case Failure():
            return Asked.FAILED
