"""What all partitions of one worker share: ports, settings, and what people switched."""

import asyncio
from dataclasses import dataclass, field

from consumer.core.control import Controls
from consumer.worker.settings import WorkerPorts, WorkerSettings


@dataclass(slots=True)
class Shared:
    """`controls` is replaced whenever somebody switches something; until `controls_read` it is not to be believed."""

    ports: WorkerPorts
    settings: WorkerSettings
    controls: Controls = field(default_factory=Controls)
    controls_read: asyncio.Event = field(default_factory=asyncio.Event)
