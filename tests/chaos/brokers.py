"""Two Kafka brokers, one cluster: each process of ours reaches each broker by a listener of its own behind a door."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid5

from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.children import HOST, free_ports
from tests.chaos.doors import Door

_MAP = "listener.security.protocol.map"
_NAMES = UUID("5f0b7a50-37f5-4f51-9f6e-6d2f3c1b8e11")


@dataclass(frozen=True, slots=True)
class Brokers:
    """The first is also the controller, the second only keeps copies and leads half of the partitions."""

    first: EmbeddedKafka
    second: EmbeddedKafka
    doors: Mapping[str, tuple[Door, Door]]

    @property
    def bootstrap(self) -> tuple[str, ...]:
        """Where the runner itself reaches them, without doors."""
        return (self.first.bootstrap, self.second.bootstrap)

    def bootstrap_of(self, slot: str) -> tuple[str, ...]:
        """Where a process reaches them."""
        return tuple(f"{HOST}:{door.at}" for door in self.doors[slot])


@dataclass(frozen=True, slots=True)
class _Ports:
    """The ports of one broker: for the runner, and for each process behind its door."""

    plain: int
    controller: int
    behind: Mapping[str, int]


@asynccontextmanager
async def brokers(folder: Path, doors: Mapping[str, tuple[Door, Door]]) -> AsyncIterator[Brokers]:
    """Start both; each door leads to its listener from then on."""
    free = iter(free_ports(3 + 2 * len(doors)))
    controller = next(free)
    async with AsyncExitStack() as stack:
        started: list[EmbeddedKafka] = []
        for number in (1, 2):
            ports = _Ports(next(free), controller, {name: next(free) for name in doors})
            for name, pair in doors.items():
                pair[number - 1].leads_to = ports.behind[name]
            home = folder / f"kafka-{number}"
            if number == 2:
                await asyncio.to_thread(_join, folder / "kafka-1" / "data", home / "data", number)
            properties = _properties(number, ports, {name: pair[number - 1].at for name, pair in doors.items()})
            broker = EmbeddedKafka(directory=home, port=ports.plain, properties=properties)
            started.append(await stack.enter_async_context(broker))
        yield Brokers(started[0], started[1], doors)


def _properties(number: int, ports: _Ports, told: Mapping[str, int]) -> Mapping[str, str]:
    """Return what this broker has beside, or instead of, what an embedded one has."""
    listeners = [f"PLAINTEXT://{HOST}:{ports.plain}"]
    advertised = list(listeners)
    for name, port in ports.behind.items():
        listeners.append(f"{name.upper()}://{HOST}:{port}")
        advertised.append(f"{name.upper()}://{HOST}:{told[name]}")
    if number == 1:
        listeners.append(f"CONTROLLER://{HOST}:{ports.controller}")
    return {
        "node.id": str(number),
        "process.roles": "broker,controller" if number == 1 else "broker",
        "controller.quorum.voters": f"1@{HOST}:{ports.controller}",
        "listeners": ",".join(listeners),
        "advertised.listeners": ",".join(advertised),
        _MAP: ",".join(f"{name}:PLAINTEXT" for name in ("PLAINTEXT", "CONTROLLER", *map(str.upper, told))),
        "num.network.threads": "1",
        "offsets.topic.replication.factor": "2",
        "transaction.state.log.replication.factor": "2",
        "transaction.state.log.min.isr": "1",
        "min.insync.replicas": "1",
        # A copy that lags is out of the way before those who wait for it give up.
        "replica.lag.time.max.ms": "3000",
        "unclean.leader.election.enable": "false",
    }


def _join(there: Path, here: Path, number: int) -> None:
    """Write the identity of a broker that joins the cluster of another one."""
    lines: Sequence[str] = (there / "meta.properties").read_text().splitlines()
    (cluster,) = (line for line in lines if line.startswith("cluster.id="))
    here.mkdir(parents=True)
    directory = _short(uuid5(_NAMES, f"{cluster}/{number}"))
    (here / "meta.properties").write_text(f"version=1\n{cluster}\nnode.id={number}\ndirectory.id={directory}\n")


def _short(identity: UUID) -> str:
    return base64.urlsafe_b64encode(identity.bytes).decode().rstrip("=").replace("-", "A")
