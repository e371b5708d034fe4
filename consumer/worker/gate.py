"""The gate of a partition: fence, restore, seek, policies; nothing is read before all four are done, in this order."""

from dataclasses import dataclass

import structlog

from consumer.core.service import ServiceKey
from consumer.core.state import ServiceState
from consumer.ports import LogError, LogSetupError, Record, Writer, unreadable
from consumer.wire.state import state_from_bytes
from consumer.worker.shared import Shared
from schemas.codec import Undecodable
from schemas.topics import Topic

log = structlog.get_logger(__name__)


class GateFailedError(LogError):
    """The gate did not open however often it was tried: the process is of no use as it is."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What an open gate gives: the partition's only writer, and what was known of its services."""

    writer: Writer
    states: dict[ServiceKey, ServiceState]


async def open_gate(shared: Shared, partition: int) -> Opened:
    """Try until it opens; called inside the assignment, and cancelled with it.

    Raises:
        LogSetupError: trying again will not help.
        GateFailedError: it was tried often enough.
    """
    settings, last = shared.settings, ""
    for attempt in range(settings.gate_attempts):
        try:
            return await _open(shared, partition)
        except LogSetupError:
            raise
        except LogError as error:
            log.warning("gate failed", partition=partition, attempt=attempt + 1, error=str(error))
            last = str(error)
        await shared.ports.clock.sleep(settings.delay(attempt))
    raise GateFailedError(f"partition {partition} could not be taken over in {settings.gate_attempts} attempts: {last}")


async def _open(shared: Shared, partition: int) -> Opened:
    # Fence first: only then is the end of the states final, and the committed offsets with it.
    writer = await shared.ports.writers.open(partition)
    try:
        states = await restore(shared, partition)
        await shared.ports.membership.seek_to_committed(partition)
        await shared.ports.policies.listed()
        await shared.controls_read.wait()
        await shared.switches_read.wait()
    except BaseException:
        await writer.close()
        raise
    return Opened(writer, states)


async def restore(shared: Shared, partition: int) -> dict[ServiceKey, ServiceState]:
    """Read the partition's states to their end."""
    states: dict[ServiceKey, ServiceState] = {}
    keys: dict[bytes, ServiceKey] = {}
    async for records in shared.ports.reader.read_to_end(shared.settings.topic(Topic.STATE), partition):
        for record in records:
            if record.value is None:
                if (why := unreadable(record)) is not None:
                    raise _unusable(record, why)
                gone = keys.pop(record.key or b"", None)
                if gone is not None:
                    del states[gone]
                continue
            state = _state(record, record.value)
            keys[record.key or b""] = state.key
            states[state.key] = state
    return states


def _state(record: Record, value: bytes) -> ServiceState:
    state = state_from_bytes(value)
    if isinstance(state, Undecodable):
        # Going on without it could lose a wake that is owed, or put to sleep what is in use.
        raise _unusable(record, state.cause)
    return state


def _unusable(record: Record, cause: str) -> LogSetupError:
    return LogSetupError(
        f"{record.topic}/{record.partition}@{record.offset}: {cause}; run the version that wrote it, "
        f"or write a tombstone for the key {record.key!r} to forget that service"
    )
