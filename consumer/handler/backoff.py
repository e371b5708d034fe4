"""How long to wait before a call is tried again."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubles from `first` up to `longest`; what a server asks for is honoured up to `patience`."""

    first: timedelta = timedelta(milliseconds=100)
    longest: timedelta = timedelta(seconds=5)
    patience: timedelta = timedelta(seconds=60)

    def delay(self, attempt: int, chance: float, retry_after: timedelta | None = None) -> timedelta:
        """Return the wait after the failed `attempt` (from 1); `chance` is drawn from 0 up to 1.

        Half of it is left to chance, so that a hundred callers refused at once do not come back at once.
        """
        # 100 ms, 200, 400 ... 5 s; the exponent is bounded so that the product is.
        full = min(self.longest, self.first * (1 << min(attempt - 1, 30)))
        drawn = full / 2 + full / 2 * chance
        # Never earlier than the server said, and spread behind that.
        return drawn if retry_after is None else min(retry_after, self.patience) + drawn / 2
