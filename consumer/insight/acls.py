"""The least that each part of the system needs of Kafka, as data: `elasti doctor` asks for it, the docs print it.

Every entry is proved by a test that takes it away and sees the part fail with its name.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from consumer.ports import Guarded, Operation, Permit, grant
from schemas.topics import DEFAULT_PREFIX, TOPICS, Topic, tenant_topic


class Part(StrEnum):
    """Whoever speaks to Kafka under a name of its own."""

    WORKER = "worker"
    HANDLER = "handler"
    GATEWAY = "gateway"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    RESOLVER = "resolver"
    SETUP = "setup"


@dataclass(frozen=True, slots=True)
class Names:
    """What an installation calls its things: in front of topics and groups stands `prefix`.

    `tenants` are the namespaces whose requests have a topic of their own.
    """

    prefix: str
    worker_group: str
    handler_group: str
    tenants: tuple[str, ...] = ()


def permits(part: Part, names: Names) -> tuple[Permit, ...]:
    """Return all that a part needs."""
    return tuple(_PARTS[part](names))


def _topics(operations: str, names: Names, *topics: Topic) -> Iterator[Permit]:
    named = [topic.under(names.prefix) for topic in topics]
    if Topic.REQUEST_COUNTS in topics:
        named += [tenant_topic(names.prefix, namespace) for namespace in names.tenants]
    for name in named:
        for operation in operations.split():
            yield Permit(Guarded.TOPIC, name, Operation(operation))


def tenant(names: Names, namespace: str) -> tuple[Permit, ...]:
    """Return all that somebody needs who may send the requests of one namespace, and of no other."""
    return (Permit(Guarded.TOPIC, tenant_topic(names.prefix, namespace), Operation.WRITE),)


def _worker(names: Names) -> Iterator[Permit]:
    """It forwards what came into a wrong partition, so it writes its inputs, too."""
    yield from _topics("Read Write", names, Topic.REQUEST_COUNTS, Topic.HOSTS, Topic.SCALE_RESULTS, Topic.STATE)
    yield from _topics("Write", names, Topic.SCALE_COMMANDS, Topic.SERVICE_STATUS, Topic.DECISIONS, Topic.DEAD_LETTER)
    yield from _topics("Read", names, Topic.CONTROL)
    # The name of the group ends in a hash of what it reads, and groups beside it are looked for.
    group = f"{names.prefix}{names.worker_group}-"
    yield Permit(Guarded.GROUP, group, Operation.READ, prefixed=True)
    yield Permit(Guarded.TRANSACTIONAL_ID, group, Operation.WRITE, prefixed=True)


def _handler(names: Names) -> Iterator[Permit]:
    yield from _topics("Read", names, Topic.SCALE_COMMANDS, Topic.SERVICE_STATUS, Topic.CONTROL)
    yield from _topics("Write", names, Topic.SCALE_RESULTS, Topic.DEAD_LETTER)
    yield Permit(Guarded.GROUP, f"{names.prefix}{names.handler_group}", Operation.READ)


def _gateway(names: Names) -> Iterator[Permit]:
    yield from _topics("Write", names, Topic.REQUEST_COUNTS)


def _operator(names: Names) -> Iterator[Permit]:
    """A person who freezes, wakes, explains, follows, and asks the doctor."""
    yield from _topics("Read Write", names, Topic.CONTROL)
    yield from _topics("Write", names, Topic.REQUEST_COUNTS)
    yield from _topics("Read", names, Topic.SCALE_COMMANDS, Topic.SCALE_RESULTS, Topic.SERVICE_STATUS)
    yield from _topics("Read", names, Topic.DECISIONS, Topic.STATE)
    yield from _topics("Describe", names, Topic.HOSTS, Topic.DEAD_LETTER)
    yield from _topics("DescribeConfigs", names, *(spec.topic for spec in TOPICS))
    # The doctor looks for workers that are set to other topics.
    yield Permit(Guarded.GROUP, f"{names.prefix}{names.worker_group}-", Operation.DESCRIBE, prefixed=True)


def _auditor(names: Names) -> Iterator[Permit]:
    """Whoever verifies a run: everything that was written, and how far the groups had come."""
    yield from _topics("Read", names, *(spec.topic for spec in TOPICS))
    yield Permit(Guarded.GROUP, f"{names.prefix}{names.worker_group}-", Operation.DESCRIBE, prefixed=True)
    yield Permit(Guarded.GROUP, f"{names.prefix}{names.handler_group}", Operation.DESCRIBE)


def _resolver(names: Names) -> Iterator[Permit]:
    """Whatever stands in the way of requests; with a consumer group of its own it needs Read on that group, too."""
    yield from _topics("Write", names, Topic.REQUEST_COUNTS, Topic.HOSTS)
    yield from _topics("Read", names, Topic.SCALE_RESULTS, Topic.SERVICE_STATUS)


def _setup(names: Names) -> Iterator[Permit]:
    """Whoever creates the topics, once, and verifies them."""
    yield from _topics("Create Describe DescribeConfigs", names, *(spec.topic for spec in TOPICS))


_BROKER: Final = "kafka:9093"
_ALWAYS: Final = f"kafka-acls --bootstrap-server {_BROKER}"
"""What stands in `$ACLS` in the docs, with the file of whoever may change ACLs."""
_PARTS: Final[Mapping[Part, Callable[[Names], Iterator[Permit]]]] = {
    Part.WORKER: _worker,
    Part.HANDLER: _handler,
    Part.GATEWAY: _gateway,
    Part.OPERATOR: _operator,
    Part.AUDITOR: _auditor,
    Part.RESOLVER: _resolver,
    Part.SETUP: _setup,
}


def commands(part: Part, names: Names, principal: str, bootstrap: str) -> Sequence[str]:
    """Return the commands that give a part all it needs, one for each topic, group or id."""
    return grant(permits(part, names), principal, bootstrap)


def page(part: Part) -> str:
    """Return the commands as the docs print them: by the default names, what begins all of them set aside."""
    plain = Names(DEFAULT_PREFIX, "worker", "handler")
    lines = [line.removeprefix(_ALWAYS) for line in commands(part, plain, f"User:{part}", _BROKER)]
    return "```sh\n" + "\n".join(f"$ACLS{line}" for line in lines) + "\n```"
