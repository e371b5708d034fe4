"""A target that never gets ready: its wake is given up once, loudly, and a later request tries anew."""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from consumer.adapters.control_plane import ControlPlane
from consumer.adapters.embedded_kafka import EmbeddedKafka
from schemas.scale_command import Direction
from schemas.scale_result import Phase
from tests.bed.kube import Kube
from tests.bed.manifests import NODE, Manifest, deployment
from tests.live.program import LIMIT
from tests.live.real_system import Place, RealSystem, really_installed

START_TIMEOUT = timedelta(seconds=3)
REMEDY: Manifest = {
    "spec": {
        "template": {
            "metadata": {"annotations": {"bed.elasti/never-ready": None}},
            "spec": {"nodeName": NODE, "nodeSelector": None},
        }
    }
}
"""What somebody does about either of the two."""


@pytest.fixture
def place(kafka: EmbeddedKafka, prefix: str, tmp_path: Path) -> Place:
    return kafka.bootstrap, prefix, tmp_path


@pytest.fixture
async def system(cluster: ControlPlane, kube: Kube, namespace: str, place: Place) -> AsyncIterator[RealSystem]:
    async with really_installed(cluster, RealSystem(place, kube, namespace)) as made:
        yield made


def stuck(name: str) -> Manifest:
    """Its pods run, and are never ready."""
    return deployment(name, never_ready=True)


def homeless(name: str) -> Manifest:
    """Its pods ask for a node that is not there, and wait for one for ever."""
    manifest = deployment(name)
    pod = manifest["spec"]["template"]["spec"]
    del pod["nodeName"]
    pod["nodeSelector"] = {"disk": "none-like-that"}
    return manifest


def ready_condition(resource: Mapping[str, Any] | None) -> tuple[str, str]:
    """Status and reason of the condition `Ready`."""
    conditions = (resource or {}).get("status", {}).get("conditions") or []
    return next(((one["status"], one["reason"]) for one in conditions if one["type"] == "Ready"), ("", ""))


@pytest.mark.parametrize("make", [stuck, homeless])
async def test_a_target_that_never_gets_ready_is_given_up_once_and_people_see_it(
    system: RealSystem, make: Callable[[str], Manifest]
) -> None:
    web = await system.create(make("web"), startTimeout="3s")
    await system.run()
    await system.until(lambda: system.replicas(web) == 0)
    await system.request(web)
    await system.until(lambda: bool(system.decisions(web, "never-ready")))
    (accepted,) = system.results(web, Phase.ACCEPTED)
    (given_up,) = system.decisions(web, "never-ready")
    assert given_up.now >= accepted.at + START_TIMEOUT
    shown = await system.kube.until(
        system.policy_of(web), lambda seen: ready_condition(seen) == ("False", "NeverReady"), within=LIMIT
    )
    assert shown is not None
    told = [message for reason, message in await system.events(web) if reason == "NeverReady"]
    assert len(told) == 1
    assert "no replica became ready within 3s" in told[0]
    # The wake is paid: nobody asks for it again by himself, and the next request is a wake like any other.
    assert len(system.commands(web, Direction.UP)) == 1
    assert await system.replicas_of(web) == 1
    assert not system.results(web, Phase.READY)
    assert len(system.decisions(web, "never-ready")) == 1
    await system.kube.merge(system.workload_of(web), REMEDY)
    await system.until(lambda: bool(system.results(web, Phase.READY)))
    await system.kube.until(
        system.policy_of(web), lambda seen: ready_condition(seen) == ("True", "InForce"), within=LIMIT
    )
