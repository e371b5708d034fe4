"""What a partition decided and has not written yet: it leaves in one transaction, in the order of the decisions."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from consumer.core.outcome import Action, Command, Outcome
from consumer.core.reasons import Code
from consumer.core.service import Direction, ServiceKey
from consumer.ports import Output, Transaction

# Beside its records a transaction costs 6 ms: larger ones would gain little, and keep wakes waiting.
FULL = 400
FULL_BYTES = 4_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One transaction's content, with what there is to count of it once it is durable."""

    transaction: Transaction
    commands: tuple[Command, ...]
    decisions: Counter[tuple[Action, Code]]

    def directions(self) -> Counter[Direction]:
        """How many commands of each direction."""
        return Counter(command.direction for command in self.commands)


@dataclass(slots=True)
class Journal:
    """Collects until it is taken; the last state of a service is enough, its decisions and commands are all kept."""

    _outputs: list[Output] = field(default_factory=list)
    _commands: list[Command] = field(default_factory=list)
    _decisions: Counter[tuple[Action, Code]] = field(default_factory=Counter)
    _offsets: dict[tuple[str, int], int] = field(default_factory=dict)
    _touched: dict[ServiceKey, None] = field(default_factory=dict)
    _bytes: int = 0

    @property
    def urgent(self) -> bool:
        """Whether a command waits, or so much that it should not grow any more."""
        return bool(self._commands) or self.full

    @property
    def full(self) -> bool:
        """Whether so much waits that it should not grow any more."""
        return len(self._outputs) + len(self._touched) >= FULL or self._bytes >= FULL_BYTES

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self._outputs or self._offsets or self._touched)

    def add(self, output: Output) -> None:
        """Write this too, after what was added before."""
        self._outputs.append(output)
        self._bytes += len(output.value or b"")

    def command(self, command: Command, output: Output) -> None:
        """Send a command."""
        self._commands.append(command)
        self.add(output)

    def decision(self, outcome: Outcome, output: Output) -> None:
        """Log a decision."""
        self._decisions[outcome.action, outcome.reason.code] += 1
        self.add(output)

    def touch(self, key: ServiceKey) -> None:
        """Write the service's state and status as they are when the journal is taken."""
        self._touched[key] = None

    def read_up_to(self, topic: str, partition: int, offset: int) -> None:
        """Move the input's offset: what lies before it is dealt with by this transaction or an earlier one."""
        self._offsets[topic, partition] = offset

    def take(self, present: Callable[[ServiceKey], Iterable[Output]]) -> Entry:
        """Return everything and start anew; `present` gives the last records of a touched service."""
        last = [output for key in self._touched for output in present(key)]
        entry = Entry(
            Transaction((*self._outputs, *last), dict(self._offsets)), tuple(self._commands), self._decisions.copy()
        )
        self._outputs.clear()
        self._commands.clear()
        self._decisions.clear()
        self._offsets.clear()
        self._touched.clear()
        self._bytes = 0
        return entry
