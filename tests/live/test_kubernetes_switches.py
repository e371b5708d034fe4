"""The switchboard, the rights and the survey on a real API server."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from consumer.adapters.clock import BrokerClock, chance
from consumer.adapters.kubernetes.api import Access, Api
from consumer.adapters.kubernetes.rights import KubernetesRights
from consumer.adapters.kubernetes.survey import KubernetesSurvey
from consumer.adapters.kubernetes.switches import NAME, KubernetesSwitches
from consumer.adapters.kubernetes.watching import Watching
from consumer.core.control import ControlKind
from consumer.core.service import TargetRef
from consumer.ports import Right, TargetForbiddenError, TargetKey
from tests.contracts.switches import SwitchesContract, freeze, shown, unfreeze
from tests.live.elastiservices import CHECK, install, namespace, one_who_may, path, resource

MAY_SWITCH = {
    "apiGroups": [""],
    "resources": ["configmaps"],
    "resourceNames": [NAME],
    "verbs": ["get", "list", "watch", "patch"],
}


@pytest.fixture
async def api(admin: Access) -> AsyncIterator[Api]:
    made = Api(admin)
    await install(made)
    yield made
    await made.close()


@pytest.fixture
async def here(api: Api) -> AsyncIterator[str]:
    async with namespace(api) as name:
        yield name


def board(api: Api, namespace: str) -> KubernetesSwitches:
    return KubernetesSwitches(api, Watching(api, BrokerClock(), chance), namespace, "default")


class TestKubernetesSwitches(SwitchesContract):
    @pytest.fixture(autouse=True)
    def _place(self, api: Api, here: str) -> None:
        self.api, self.here = api, here

    async def switches(self) -> KubernetesSwitches:
        return board(self.api, self.here)


async def test_whoever_has_only_kubectl_can_freeze_everything(api: Api, here: str) -> None:
    switches = board(api, here)
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": {"freeze": "maria: sale"}}
    await api.post(f"/api/v1/namespaces/{here}/configmaps", body)
    async with shown(switches) as seen:
        (panic,) = await seen()
        assert (panic.key_pattern, panic.kind, panic.why) == ("*", ControlKind.FREEZE, "maria: sale")
        assert NAME in panic.by
        # And whoever has elasti takes it back.
        await switches.apply([unfreeze()])
        assert await seen() == (unfreeze(),)


async def test_a_right_to_that_one_object_is_enough_to_follow_it(admin: Access, api: Api, here: str) -> None:
    await board(api, here).apply([freeze()])
    who = Api(await one_who_may(admin, api, here, MAY_SWITCH))
    try:
        async with shown(board(who, here)) as seen:
            assert await seen() == (freeze(),)
            await board(who, here).apply([unfreeze()])
            assert await seen() == (unfreeze(),)
    finally:
        await who.close()


async def test_a_switchboard_that_may_not_be_read_says_so(admin: Access, api: Api, here: str) -> None:
    who = Api(await one_who_may(admin, api, here))
    try:
        async with shown(board(who, here)) as seen:
            with pytest.raises(TargetForbiddenError):
                await seen()
        with pytest.raises(TargetForbiddenError):
            await board(who, here).apply([freeze()])
    finally:
        await who.close()


async def test_rights_that_are_missing_are_named(admin: Access, api: Api, here: str) -> None:
    who = Api(await one_who_may(admin, api, here, MAY_SWITCH))
    has = Right("patch", "", "configmaps", namespace=here, name=NAME)
    lacks = [
        Right("patch", "apps", "deployments", "scale", here),
        # A right by name is no right to all of them.
        Right("patch", "", "configmaps", namespace=here),
        Right("delete", "", "configmaps", namespace=here, name=NAME),
    ]
    try:
        assert await KubernetesRights(who).missing([has, *lacks, has]) == lacks
        assert await KubernetesRights(api).missing([has, *lacks]) == []
    finally:
        await who.close()


async def test_a_survey_shows_what_stands_there(api: Api, here: str) -> None:
    survey = KubernetesSurvey(api, CHECK, (here,))
    assert await survey.holdings() == []
    await api.post(path(here), resource("web"))
    await api.post(
        f"/apis/autoscaling/v2/namespaces/{here}/horizontalpodautoscalers",
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "web"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "maxReplicas": 3,
            },
        },
    )
    (holding,) = await survey.holdings()
    target = TargetKey(here, TargetRef("apps/v1", "Deployment", "web"))
    assert (holding.service, holding.target, holding.held) == ("web", target, False)
    assert holding.policy is not None
    assert holding.problems == ()
    (hpa,) = await survey.scalers()
    assert (hpa.type, hpa.name, hpa.target, hpa.lowest) == ("hpa", "web", target, 1)
    definition = await survey.definition()
    assert definition is not None
    assert definition.versions == ("v1alpha1",)
    assert definition.fields is not None
    assert {"service", "zeroGuard", "wakeReplicas"} <= definition.fields
    assert abs(await survey.time() - datetime.now(UTC)) < timedelta(minutes=5)
    assert str(uuid.UUID(holding.resource.uid)) == holding.resource.uid
