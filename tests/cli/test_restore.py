"""`elasti restore`: everything back, in whatever state it is, and what is left is said."""

from functools import partial

import pytest

from consumer.app.places import UnnamedError
from consumer.core.control import ControlKind
from consumer.ports import (
    AutoscalerKey,
    Holding,
    LogError,
    TargetBusyError,
    TargetForbiddenError,
    TargetMovedError,
)
from tests.cli.conftest import Elasti
from tests.cli.installation import Installation

KEDA = AutoscalerKey("shop", "web")


@pytest.fixture
def here() -> Installation:
    made = Installation()
    # Nothing of it may need Kafka.
    made.log_trouble = LogError("Kafka is away")
    return made


def replicas(here: Installation, holding: Holding) -> int:
    assert holding.target is not None
    return here.targets.present(holding.target).replicas


def test_everything_gets_back_what_it_had(elasti: Elasti, here: Installation) -> None:
    web = here.deploy("web", previous_replicas=3)
    cart = here.deploy("cart", min_replicas=2)
    till = here.deploy("till", replicas=4, held=False, previous_replicas=2)
    said = elasti("restore", "--all", places=here)
    assert (said.code, said.err) == (0, "")
    first, *lines, last = said.out.splitlines()
    assert first == "sleeps of * are frozen; later: elasti unfreeze --why ..."
    assert sorted(line[6:] for line in lines) == [
        "shop/cart: scaled Deployment/cart from 0 to 2; took our finalizer off",
        "shop/till: as it was",
        "shop/web: scaled Deployment/web from 0 to 3; took our finalizer off",
    ]
    assert [line[:5] for line in lines] == ["[1/3]", "[2/3]", "[3/3]"]
    assert last == "3 ElastiServices: 2 woken, 0 left to do, 0 held again"
    assert [replicas(here, one) for one in (web, cart, till)] == [3, 2, 4]
    assert here.resources.finalizers(web.resource) == ()
    (freeze,) = here.switches.content()
    assert (freeze.key_pattern, freeze.kind) == ("*", ControlKind.FREEZE)


def test_a_target_that_several_resources_name_gets_the_most_that_one_knows_of(
    elasti: Elasti, here: Installation
) -> None:
    web = here.deploy("web", previous_replicas=3)
    for name in ("again", "zone"):
        here.deploy(name, previous_replicas=2, target=web.target)
    assert elasti("restore", "--all", places=here).code == 0
    assert replicas(here, web) == 3


def test_it_can_be_run_again(elasti: Elasti, here: Installation) -> None:
    here.deploy("web", previous_replicas=3)
    elasti("restore", "--all", places=here)
    calls = len([change for _, change in here.targets.calls if change])
    said = elasti("restore", "--all", places=here)
    assert said.code == 0
    assert "[1/1] shop/web: as it was" in said.out
    assert len([change for _, change in here.targets.calls if change]) == calls


def test_a_rehearsal_changes_nothing(elasti: Elasti, here: Installation) -> None:
    web = here.deploy("web", previous_replicas=3, autoscaler=KEDA)
    here.autoscalers.create(KEDA)
    here.autoscalers.pause_by_hand(KEDA, held_at=0)
    said = elasti("restore", "--all", "--dry-run", places=here)
    assert said.code == 0
    assert "would scale Deployment/web from 0 to 3" in said.out
    assert "would take our finalizer off" in said.out
    assert "1 would be woken" in said.out
    assert replicas(here, web) == 0
    assert here.resources.writes == []
    assert "would un-pause shop/ScaledObject/web" in said.out
    assert here.autoscalers.state(KEDA).paused
    assert here.switches.content() == ()


def test_keda_goes_on_again(elasti: Elasti, here: Installation) -> None:
    here.deploy("web", autoscaler=KEDA)
    here.autoscalers.create(KEDA)
    here.autoscalers.pause_by_hand(KEDA, held_at=0)
    said = elasti("restore", "--all", places=here)
    assert said.code == 0
    assert "un-paused shop/ScaledObject/web" in said.out
    assert not here.autoscalers.state(KEDA).paused


def test_a_pause_of_somebody_else_stays(elasti: Elasti, here: Installation) -> None:
    web = here.deploy("web", autoscaler=KEDA)
    here.autoscalers.create(KEDA)
    here.autoscalers.pause_by_hand(KEDA)
    said = elasti("restore", "--all", places=here)
    assert said.code == 0
    assert "somebody else paused it" in said.out
    assert here.autoscalers.state(KEDA).paused
    assert replicas(here, web) == 1


def test_what_can_not_be_woken_keeps_its_finalizer_and_is_left(elasti: Elasti, here: Installation) -> None:
    web = here.deploy("web")
    here.targets.fail(None, TargetForbiddenError("may not patch deployments/scale"))
    said = elasti("restore", "--all", places=here)
    assert said.code == 1
    assert "LEFT: may not patch deployments/scale" in said.out
    assert "1 left to do" in said.out
    assert here.resources.finalizers(web.resource) != ()


def test_an_api_that_is_busy_for_a_while_is_waited_for(elasti: Elasti, here: Installation) -> None:
    web = here.deploy("web")
    here.targets.fail(TargetBusyError("too many requests"), TargetBusyError("too many requests"))
    assert elasti("restore", "--all", places=here).code == 0
    assert replicas(here, web) == 1
    # Two waits for it, and four for a handler that may take the finalizer again.
    assert len(here.clock.waited) == 6


def test_somebody_who_was_quicker_is_not_overwritten(elasti: Elasti, here: Installation) -> None:
    web = here.deploy("web", previous_replicas=3)
    assert web.target is not None
    target = web.target
    here.targets.before_next_call(lambda: None)
    here.targets.before_next_call(lambda: here.targets.scale_by_hand(target, 7))
    said = elasti("restore", "--all", places=here)
    assert said.code == 0
    assert replicas(here, web) == 7


def test_a_target_that_is_gone_holds_nothing_up(elasti: Elasti, here: Installation) -> None:
    web = here.deploy("web")
    assert web.target is not None
    here.targets.delete(web.target)
    said = elasti("restore", "--all", places=here)
    assert said.code == 0
    assert "there is no Deployment/web any more; took our finalizer off" in said.out


@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_of_an_autoscaler_that_was_not_paused_nothing_is_said(
    elasti: Elasti, here: Installation, words: tuple[str, ...]
) -> None:
    here.deploy("web", replicas=1, held=False, autoscaler=KEDA)
    here.autoscalers.create(KEDA)
    said = elasti("restore", "--all", *words, places=here)
    assert said.code == 0
    assert "[1/1] shop/web: as it was" in said.out


def test_what_somebody_else_scaled_to_zero_is_named_and_stays(elasti: Elasti, here: Installation) -> None:
    web = here.deploy("web", replicas=1, previous_replicas=3)
    assert web.target is not None
    here.targets.scale_by_hand(web.target, 0, "kubectl-edit")
    said = elasti("restore", "--all", "--dry-run", places=here)
    assert "left Deployment/web at 0: scaled by kubectl-edit; would take our finalizer off" in said.out
    said = elasti("restore", "--all", places=here)
    # Nothing is left to do: it is as they want it.
    assert (said.code, said.err) == (0, "")
    assert "left Deployment/web at 0: scaled by kubectl-edit; took our finalizer off" in said.out
    assert "1 left at 0 as somebody else scaled them; --also-others raises them, too." in said.out
    assert said.out.endswith("1 ElastiServices: 0 woken, 0 left to do, 0 held again\n")
    assert replicas(here, web) == 0
    said = elasti("restore", "--all", "--also-others", places=here)
    assert said.code == 0
    assert "scaled Deployment/web from 0 to 3" in said.out
    assert replicas(here, web) == 3


@pytest.mark.parametrize("manager", ["elasti", None])
def test_a_zero_of_ours_and_one_of_nobody_are_raised(elasti: Elasti, here: Installation, manager: str | None) -> None:
    web = here.deploy("web", replicas=1 if manager else 0)
    assert web.target is not None
    if manager:
        here.targets.scale_by_hand(web.target, 0, manager)
    assert here.targets.present(web.target).manager == manager
    assert elasti("restore", "--all", places=here).code == 0
    assert replicas(here, web) == 1


def test_a_handler_that_takes_its_finalizer_again_some_moments_later_is_seen(
    elasti: Elasti, here: Installation
) -> None:
    web, cart = here.deploy("web"), here.deploy("cart")
    here.clock.meanwhile.extend((lambda: None, partial(here.survey.put, web), partial(here.survey.put, cart)))
    said = elasti("restore", "--all", places=here)
    assert said.code == 1
    assert "2 woken, 0 left to do, 2 held again" in said.out
    # Once both are held there is nothing more to wait for.
    assert len(here.clock.waited) == 3


def test_one_look_for_it_that_fails_is_made_up_for_by_the_next(elasti: Elasti, here: Installation) -> None:
    web = here.deploy("web")
    here.clock.meanwhile.extend(
        (
            lambda: setattr(here.survey, "failure", TargetBusyError("429")),
            lambda: setattr(here.survey, "failure", None),
            partial(here.survey.put, web),
        )
    )
    said = elasti("restore", "--all", places=here)
    assert (said.code, said.err) == (1, "")
    assert "1 woken, 0 left to do, 1 held again" in said.out


def test_an_api_that_goes_away_after_all_is_done_hides_nothing_of_it(elasti: Elasti, here: Installation) -> None:
    here.deploy("web")
    here.clock.meanwhile.append(lambda: setattr(here.survey, "failure", TargetBusyError("connection refused")))
    said = elasti("restore", "--all", places=here)
    assert said.code == 1
    assert "whether a handler took it again could not be seen: connection refused; run this once more" in said.out
    assert "1 woken, 0 left to do, 0 held again" in said.out


def test_without_a_handler_it_is_looked_for_some_seconds_and_no_longer(elasti: Elasti, here: Installation) -> None:
    here.deploy("web")
    assert elasti("restore", "--all", places=here).code == 0
    assert sum(wait.total_seconds() for wait in here.clock.waited) == 3.75
    waited = len(here.clock.waited)
    # There is nothing to let go any more.
    elasti("restore", "--all", places=here)
    assert len(here.clock.waited) == waited


def test_a_handler_that_still_runs_is_pointed_at(elasti: Elasti, here: Installation) -> None:
    here.deploy("web")
    here.resources.handler_runs = True
    said = elasti("restore", "--all", places=here)
    assert said.code == 1
    assert "shop/web: our finalizer is on it again, by a handler that runs" in said.out
    assert "Stop the installation, then run this once more" in said.out


def test_a_freeze_that_is_refused_does_not_stop_it(elasti: Elasti, here: Installation) -> None:
    web = here.deploy("web")
    here.switches.fail(TargetForbiddenError("may not create configmaps"))
    said = elasti("restore", "--all", places=here)
    assert said.code == 0
    assert "sleeps could not be frozen: may not create configmaps" in said.err
    assert replicas(here, web) == 1


def test_one_of_them_only(elasti: Elasti, here: Installation) -> None:
    web, cart = here.deploy("web", service="front"), here.deploy("cart")
    assert elasti("restore", "shop/front", places=here).code == 0
    assert (replicas(here, web), replicas(here, cart)) == (1, 0)
    (freeze,) = here.switches.content()
    assert freeze.key_pattern == "shop/*"


def test_a_namespace_only(elasti: Elasti, here: Installation) -> None:
    web = here.deploy("web")
    assert elasti("restore", "-n", "bank", places=here).code == 0
    assert replicas(here, web) == 0
    assert elasti("restore", "-n", "shop", places=here).code == 0
    assert replicas(here, web) == 1


def test_one_that_is_not_there_is_answered_with_those_that_are(elasti: Elasti, here: Installation) -> None:
    here.deploy("web")
    said = elasti("restore", "shop/wbe", places=here)
    assert said.code == 3
    assert "there is no ElastiService shop/wbe (in shop there are: web)" in said.err


@pytest.mark.parametrize("words", [(), ("--all", "shop/web"), ("--all", "-n", "shop"), ("-n", "shop", "shop/web")])
def test_what_is_meant_has_to_be_said(elasti: Elasti, here: Installation, words: tuple[str, ...]) -> None:
    said = elasti("restore", *words, places=here)
    assert (said.code, said.out) == (2, "")


def test_without_a_cluster_its_setting_is_named(elasti: Elasti) -> None:
    said = elasti("restore", "--all")
    assert (said.code, said.out) == (2, "")
    assert "ELASTI_CLUSTER_ACCESS" in said.err


def test_a_cluster_that_is_away_is_a_failure(elasti: Elasti, here: Installation) -> None:
    here.cluster_trouble = TargetBusyError("the API broke off")
    said = elasti("restore", "--all", places=here)
    assert said.code == 3
    assert "the API broke off" in said.err
    here.cluster_trouble = UnnamedError("no cluster is named")
    assert elasti("restore", "--all", places=here).code == 2


def test_a_target_that_moves_all_the_time_is_left_and_said(elasti: Elasti, here: Installation) -> None:
    here.deploy("web")
    here.targets.fail(
        *[step for _ in range(6) for step in (None, TargetMovedError("it has 0 replicas at another version"))]
    )
    said = elasti("restore", "--all", places=here)
    assert said.code == 1
    assert "LEFT: it has 0 replicas at another version" in said.out
