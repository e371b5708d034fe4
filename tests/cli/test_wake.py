"""`elasti wake`: through Kafka, or directly when it is away; at a pace; waited for."""

from datetime import timedelta

import pytest

from consumer.app.places import UnnamedError
from consumer.app.waking import PRODUCER
from consumer.ports import AutoscalerKey, Holding, LogError, TargetForbiddenError
from schemas.codec import decode_request_count
from schemas.partitioning import partition_for
from schemas.request_count import RequestCount
from schemas.service_status import ServiceStatus
from schemas.topics import Topic
from tests.cli.conftest import Elasti
from tests.cli.installation import PARTITIONS, T0, Installation


@pytest.fixture
def here() -> Installation:
    return Installation()


def tell(here: Installation, name: str, *, replicas: int, ready: int) -> None:
    """The worker says how a service is."""
    status = ServiceStatus.model_validate(
        {
            "cluster": "default",
            "namespace": "shop",
            "service": name,
            "target": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name, "uid": "u", "generation": 1},
            "replicas": replicas,
            "readyReplicas": ready,
            "reason": {"code": "asleep", "message": "asleep", "facts": {}},
            "since": T0,
        }
    )
    here.write(Topic.SERVICE_STATUS, f"shop/{name}", status.encode(), partition_for("shop", name, PARTITIONS))


def replicas(here: Installation, holding: Holding) -> int:
    assert holding.target is not None
    return here.targets.present(holding.target).replicas


def asked(here: Installation) -> list[str]:
    found = [decode_request_count(record.value) for record in here.records(Topic.REQUEST_COUNTS)]
    assert all(isinstance(each, RequestCount) and each.count == 1 for each in found)
    return sorted(each.svc for each in found if isinstance(each, RequestCount))


def test_a_wake_is_a_request_that_says_whose_it_is(elasti: Elasti, here: Installation) -> None:
    said = elasti("wake", "shop/web", "shop/cart", "shop/web", places=here)
    assert (said.code, said.err) == (0, "")
    assert asked(here) == ["cart", "web"]
    assert said.out.endswith("2 asked\n")
    for record in here.records(Topic.REQUEST_COUNTS):
        assert record.key is not None
        _, name = record.key.decode().split("/")
        assert record.partition == partition_for("shop", name, PARTITIONS)
        assert dict(record.headers)[PRODUCER].startswith(b"elasti wake by ")


def test_all_that_the_log_knows_at_a_pace(elasti: Elasti, here: Installation) -> None:
    for name in ("web", "cart", "till"):
        tell(here, name, replicas=0, ready=0)
    assert elasti("wake", "-n", "bank", places=here).code == 1
    assert elasti("wake", "-n", "shop", "--rate", "4/s", places=here).code == 0
    assert asked(here) == ["cart", "till", "web"]
    assert here.clock.waited == [timedelta(milliseconds=250)] * 2


def test_a_wake_is_waited_for_until_it_is_ready(elasti: Elasti, here: Installation) -> None:
    tell(here, "web", replicas=1, ready=1)
    said = elasti("wake", "shop/web", "--wait", "30s", places=here)
    assert said.code == 0
    assert said.out.endswith("1 ready\n")


def test_one_that_is_not_ready_in_time_is_said(elasti: Elasti, here: Installation) -> None:
    tell(here, "web", replicas=1, ready=0)
    said = elasti("wake", "shop/web", "--wait", "30s", places=here)
    assert said.code == 1
    assert "shop/web: not ready in time; see elasti explain shop/web" in said.out
    assert sum(here.clock.waited, timedelta()) == timedelta(seconds=30)


def test_with_kafka_away_targets_are_raised_right_here(elasti: Elasti, here: Installation) -> None:
    web, cart = here.deploy("web", min_replicas=2), here.deploy("cart", replicas=3)
    here.log_trouble = LogError("Kafka is away")
    said = elasti("wake", "--all", places=here)
    assert said.code == 0
    assert "Waking directly instead." in said.err
    assert (replicas(here, web), replicas(here, cart)) == (2, 3)
    assert "Deployment/web from 0 to 2" in said.out
    assert "awake already" in said.out


def test_a_direct_wake_lets_keda_go_on(elasti: Elasti, here: Installation) -> None:
    keda = AutoscalerKey("shop", "web")
    here.autoscalers.create(keda)
    here.autoscalers.pause_by_hand(keda, held_at=0)
    here.deploy("web", autoscaler=keda)
    assert elasti("wake", "shop/web", "--direct", places=here).code == 0
    assert not here.autoscalers.state(keda).paused
    assert asked(here) == []


def test_a_direct_wake_that_is_refused_is_said(elasti: Elasti, here: Installation) -> None:
    here.deploy("web")
    here.targets.fail(None, TargetForbiddenError("may not patch deployments/scale"))
    said = elasti("wake", "shop/web", "shop/nobody", "--direct", places=here)
    assert said.code == 1
    assert "may not patch deployments/scale" in said.out
    assert "no ElastiService names it" in said.out
    assert said.out.endswith("2 failed\n")


def test_a_direct_wake_is_waited_for(elasti: Elasti, here: Installation) -> None:
    here.deploy("web", replicas=1, ready=1)
    here.deploy("cart")
    said = elasti("wake", "--all", "--direct", "--wait", "5s", places=here)
    assert said.code == 1
    assert said.out.endswith("1 not ready in time, 1 ready\n")


@pytest.mark.parametrize(
    "words", [(), ("--all", "shop/web"), ("web",), ("shop/web", "--rate", "fast"), ("shop/web", "--rate", "0/s")]
)
def test_what_can_not_be_meant_is_refused(elasti: Elasti, here: Installation, words: tuple[str, ...]) -> None:
    said = elasti("wake", *words, places=here)
    assert (said.code, said.out) == (2, "")
    assert asked(here) == []


def test_without_any_place_the_setting_is_named(elasti: Elasti, here: Installation) -> None:
    here.log_trouble = UnnamedError("no Kafka is named; set ELASTI_KAFKA_BOOTSTRAP")
    said = elasti("wake", "shop/web", places=here)
    assert said.code == 2
    assert "ELASTI_KAFKA_BOOTSTRAP" in said.err
