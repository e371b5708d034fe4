"""The in-memory twin of Prometheus: a function from (query, time) to its result, joined queries included."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from consumer.core.answers import UnknownCause
from consumer.core.readings import Blame, Failure, Question, Reading, Series, Shape

Evaluate = Callable[[str, datetime], Reading | Failure]
"""What a lone query gives at a time."""

# One branch of a joined query: a numbered query, closed by a line feed, that may stand in `vector((…))`.
_BRANCH: Final = re.compile(
    r'label_replace\((?P<vector>vector\()?\((?P<query>.*?)\n\)\)?, "(?P<label>\w+)", "(?P<number>\d+)", "", ""\)',
    re.DOTALL,
)


@dataclass(slots=True)
class MemoryMeasurements:
    """Implements `Measurements` with a function; `asked` holds every request in its order.

    `gate` is awaited before each answer, so that a server can be slow, or never answer.
    """

    evaluate: Evaluate
    gate: Callable[[Question], Awaitable[None]] | None = None
    asked: list[tuple[Question, datetime]] = field(default_factory=list)
    closed: bool = False

    async def ask(self, question: Question, at: datetime, limit: timedelta) -> Reading | Failure:
        """Evaluate the query as a server would, the branches of a joined one each for itself."""
        self.asked.append((question, at))
        try:
            async with asyncio.timeout(limit.total_seconds()):
                await self._gate(question)
        except TimeoutError:
            return Failure(UnknownCause.TIMEOUT, Blame.EITHER, f"{question.source.server} did not answer in time")
        return self._answer(question, at)

    async def close(self) -> None:
        """Remember that nothing may be asked any more."""
        self.closed = True

    async def _gate(self, question: Question) -> None:
        if self.gate is not None:
            await self.gate(question)

    def _answer(self, question: Question, at: datetime) -> Reading | Failure:
        branches = tuple(_BRANCH.finditer(question.query))
        if not branches:
            return self.evaluate(question.query, at)
        series: list[Series] = []
        partial: list[str] = []
        for branch in branches:
            outcome = _labelled(branch, self.evaluate(branch["query"], at))
            if isinstance(outcome, Failure):
                return outcome
            series.extend(outcome.series)
            partial.extend(outcome.partial)
        return Reading(Shape.VECTOR, tuple(series), tuple(partial))


def _labelled(branch: re.Match[str], outcome: Reading | Failure) -> Reading | Failure:
    """What `label_replace` makes of a result: it takes vectors only, and `vector` takes scalars only."""
    if isinstance(outcome, Failure):
        return outcome
    wanted = Shape.SCALAR if branch["vector"] else Shape.VECTOR
    if outcome.shape is not wanted:
        return Failure(UnknownCause.HTTP_ERROR, Blame.QUERY, f"expected type {wanted}, got {outcome.shape}")
    pair = (branch["label"], branch["number"])
    return Reading(
        Shape.VECTOR,
        tuple(
            Series((*(p for p in series.labels if p[0] != pair[0]), pair), series.value) for series in outcome.series
        ),
        outcome.partial,
    )
