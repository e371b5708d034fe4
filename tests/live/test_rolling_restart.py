"""Every worker and every handler is restarted in turn while requests keep coming: each is woken, and once."""

from collections import Counter

import pytest

from consumer.adapters.control_plane import ControlPlane
from consumer.adapters.embedded_kafka import EmbeddedKafka
from schemas.scale_result import Phase
from tests.bed.kube import Kube
from tests.live.rolling import Places, Rolling

SLEEPERS = [f"sleeper-{number}" for number in range(120)]
BUSY = [f"busy-{number}" for number in range(5)]


@pytest.mark.timeout(600)
async def test_a_rolling_restart_loses_no_wake_and_doubles_none(
    cluster: ControlPlane, kube: Kube, namespace: str, kafka: EmbeddedKafka, prefix: str
) -> None:
    rolling = Rolling(Places(cluster, kube, kafka.bootstrap, namespace, prefix), SLEEPERS, BUSY)
    async with rolling.running():
        await rolling.roll(pace=0.4)
        changed, seen = await rolling.changed(), await rolling.seen()
    assert [restart.role for restart in rolling.restarts] == ["worker", "handler", "worker", "handler"]
    assert [restart.code for restart in rolling.restarts] == [0, 0, 0, 0]
    asked = set(rolling.asked)
    assert len(asked) > 4
    # The cluster was changed once for each, and for nobody else: what was up stayed up.
    for name in (*SLEEPERS, *BUSY):
        assert changed[name] == ((1, 1) if name in asked else (0, 1 if name in BUSY else 0)), name
    assert set(rolling.woken(seen)) >= asked
    # A request gives one command, and no id is given twice; a handler that was away may be asked again.
    first = Counter(command.service for command in seen.commands if command.reason.code == "request")
    assert first == Counter(asked) + Counter({name: first[name] for name in BUSY})
    assert max(first.values()) == 1
    for ids in (seen.commands, seen.decisions):
        assert len({message.id for message in ids}) == len(ids)
    accepted = [result.service for result in seen.results if result.phase is Phase.ACCEPTED]
    assert len(set(accepted)) == len(accepted)
    assert seen.letters == []
