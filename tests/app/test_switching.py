"""A switch reaches the place that answers, whatever the other one does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from consumer.app.places import LogPlace
from consumer.app.switching import switch
from consumer.core.control import Control, ControlKind
from consumer.settings import Settings, load
from tests.cli.installation import T0, Installation

FREEZE = Control("*", ControlKind.FREEZE, None, "maria", "sale", None, T0)


class Silent(Installation):
    """A log that takes every question and answers none."""

    @asynccontextmanager
    async def log(self, settings: Settings) -> AsyncIterator[LogPlace]:
        await asyncio.Event().wait()
        async with super().log(settings) as log:
            yield log


async def test_a_log_that_hangs_does_not_keep_a_freeze_from_the_cluster() -> None:
    here = Silent()
    log, cluster = await switch(here, load(), [FREEZE], patience=timedelta(milliseconds=50))
    assert "did not answer within 0.05s" in log.trouble
    assert log.named
    assert cluster.trouble == ""
    assert here.switches.content() == (FREEZE,)
