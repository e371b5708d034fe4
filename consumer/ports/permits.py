"""What the log lets whom do: one permit is one operation on one resource, as Kafka's ACLs have it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol


class Guarded(StrEnum):
    """A kind of resource that ACLs guard, as the flag of `kafka-acls` that names one."""

    TOPIC = "topic"
    GROUP = "group"
    TRANSACTIONAL_ID = "transactional-id"


class Operation(StrEnum):
    """What is done with a resource, as `kafka-acls` spells it."""

    READ = "Read"
    WRITE = "Write"
    CREATE = "Create"
    DESCRIBE = "Describe"
    DESCRIBE_CONFIGS = "DescribeConfigs"


@dataclass(frozen=True, slots=True, order=True)
class Permit:
    """One ACL; `prefixed` means every resource whose name begins so. Reading and writing include Describe."""

    guarded: Guarded
    name: str
    operation: Operation
    prefixed: bool = False

    def __str__(self) -> str:
        """Return what may be done, in words: `Read topic elasti.hosts`."""
        return f"{self.operation} {self.guarded.replace('-', ' ')} {self.name}{'*' if self.prefixed else ''}"


def grant(permits: Iterable[Permit], principal: str, bootstrap: str) -> Sequence[str]:
    """Return the commands that allow it, one for each resource; the first words may need `--command-config` beside."""
    operations: dict[Permit, list[Operation]] = {}
    for permit in permits:
        operations.setdefault(replace(permit, operation=Operation.DESCRIBE), []).append(permit.operation)
    return [
        f"kafka-acls --bootstrap-server {bootstrap} --add --allow-principal {principal} "
        + " ".join(f"--operation {operation}" for operation in allowed)
        + f" --{resource.guarded} {resource.name}"
        + (" --resource-pattern-type prefixed" if resource.prefixed else "")
        for resource, allowed in operations.items()
    ]


class Permits(Protocol):
    """Asks the log what the caller may do; asking has no effect."""

    async def missing(self, permits: Sequence[Permit]) -> Sequence[Permit]:
        """Return those that are not granted, in the order given; raises LogError when nobody can say."""
