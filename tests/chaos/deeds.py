"""What can be done to the system in a run: every fault and every edit, as values that print as JSON."""

from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum

Json = dict[str, object]


class Server(StrEnum):
    """What our processes depend on, each through a door of its own."""

    KAFKA = "kafka"
    PROMETHEUS = "prometheus"
    API = "api"


class Trouble(StrEnum):
    """What a door does to the connections through it."""

    CUT = "cut"
    """Resets them, and refuses new ones."""
    HOLD = "hold"
    """Keeps every byte, and lets it arrive afterwards."""
    DELAY = "delay"
    """Lets each chunk arrive late."""


class Lie(StrEnum):
    """What stands in answers of Prometheus in place of the truth."""

    IDLE = "idle"
    BUSY = "busy"
    NAN = "nan"
    EMPTY = "empty"
    PARTIAL = "partial"
    WARNED = "warned"
    SLOW = "slow"
    ERROR = "error"
    GARBAGE = "garbage"


class Outage(StrEnum):
    """How a server is away for everybody."""

    PAUSE = "pause"
    KILL = "kill"


class Change(StrEnum):
    """What an operator does to a policy."""

    COOLDOWN = "cooldown"
    MINIMUM = "minimum"
    PAUSE_SLEEP = "pause-sleep"
    PAUSE_ALL = "pause-all"
    RECREATE = "recreate"
    RENAME = "rename"
    RETARGET = "retarget"


@dataclass(frozen=True, slots=True)
class Kill:
    """End a process with -9, and start it again some time later."""

    slot: str
    down: timedelta


@dataclass(frozen=True, slots=True)
class Zombie:
    """Stop a process where it stands for longer than its session lasts, then let it go on."""

    slot: str
    length: timedelta


@dataclass(frozen=True, slots=True)
class Visit:
    """Start a process more, and end it politely after a while."""

    slot: str
    stay: timedelta


@dataclass(frozen=True, slots=True)
class Break:
    """Trouble at the door of one process to one server."""

    slot: str
    server: Server
    trouble: Trouble
    length: timedelta


@dataclass(frozen=True, slots=True)
class Away:
    """A server itself is away: Kafka (its second broker where `lesser`), the API server, or Prometheus."""

    server: Server
    how: Outage
    length: timedelta
    lesser: bool = False


@dataclass(frozen=True, slots=True)
class Deceive:
    """Prometheus lies to everybody."""

    lie: Lie
    length: timedelta


@dataclass(frozen=True, slots=True)
class Edit:
    """An operator's change of the first of these services that is asleep then (none: of the first of all)."""

    change: Change
    among: tuple[str, ...]
    value: int = 0
    length: timedelta = timedelta()
    """How long a pause lasts."""


@dataclass(frozen=True, slots=True)
class Load:
    """A service's metric changes."""

    service: str
    value: int


@dataclass(frozen=True, slots=True)
class Rename:
    """An application tells its metric by another name for a while; a query with `or vector(0)` sees a perfect zero."""

    service: str
    length: timedelta


Deed = Kill | Zombie | Visit | Break | Away | Deceive | Edit | Load | Rename


@dataclass(frozen=True, slots=True)
class Step:
    """A deed, and when: counted from the beginning of the faults."""

    at: timedelta
    deed: Deed

    def told(self) -> Json:
        """The step as JSON."""
        fields = {name: _plain(value) for name, value in asdict(self.deed).items()}
        return {"at": self.at.total_seconds(), "do": type(self.deed).__name__.lower(), **fields}


def _plain(value: object) -> object:
    return value.total_seconds() if isinstance(value, timedelta) else value
