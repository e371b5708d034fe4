"""Evaluation cycles: idle services sleep after exactly a cooldown, never while blind, behind, frozen or too many."""

from collections import Counter
from datetime import timedelta

import pytest

from consumer.core.service import Mode, ServiceKey
from consumer.ports import Output, PolicyEntry
from consumer.worker.settings import WorkerSettings
from schemas.control import Control, Freeze, ModeSetting
from schemas.topics import Topic
from tests.worker.bed import T0, WEB, Bed, Listed, policy

MINUTE = timedelta(minutes=1)
CYCLE = timedelta(seconds=30)


async def awake(bed: Bed, *keys: ServiceKey) -> None:
    """Let the worker see targets that are up and ready; from now on a handler does what it is asked."""
    bed.obedient = True
    for key in keys or (WEB,):
        bed.result("observed", key)
    await bed.settle()


def control(bed: Bed, scope: str = "*", *, freeze: bool = False, mode: str | None = None) -> None:
    """Switch something, as the command line does."""
    who = {"by": "maria", "at": bed.clock.now, "why": "sale"}
    message = Control.model_validate(
        {
            **who,
            "cluster": "default",
            "scope": scope,
            "freeze": Freeze.model_validate(who) if freeze else None,
            "mode": ModeSetting.model_validate({**who, "mode": mode}) if mode else None,
        }
    )
    bed.log.append(Output(bed.name(Topic.CONTROL), 0, scope.encode(), message.encode()))


async def test_an_idle_service_sleeps_after_exactly_one_cooldown() -> None:
    bed = Bed(policy())
    async with bed.running():
        await awake(bed)
        await bed.pass_time(timedelta(seconds=1))
        bed.request()
        # The request is at 12:00:01: the cycle at 12:15:00 is a second too early, the next one is not.
        await bed.pass_time(15 * MINUTE - timedelta(seconds=1), timedelta(seconds=15))
        assert "zero" not in [command.direction for command in bed.commands()]
        await bed.pass_time(CYCLE, timedelta(seconds=15))
        assert [command.direction for command in bed.commands()][-1] == "zero"
        assert bed.codes()[-1] == "idle"


async def test_one_short_request_a_minute_keeps_a_service_up() -> None:
    bed = Bed(policy(cooldown=2 * MINUTE))
    async with bed.running():
        await awake(bed)
        for _ in range(20):
            bed.request()
            await bed.pass_time(MINUTE, timedelta(seconds=15))
        assert "zero" not in [command.direction for command in bed.commands()]


async def test_a_wake_after_45_minutes_of_silence_works() -> None:
    bed = Bed(policy())
    async with bed.running():
        await awake(bed)
        await bed.pass_time(16 * MINUTE, timedelta(seconds=15))
        await bed.pass_time(45 * MINUTE, timedelta(seconds=30))
        bed.request()
        await bed.settle()
        assert [command.direction for command in bed.commands()] == ["zero", "up"]


async def test_a_busy_service_that_sleeps_is_woken_by_its_trigger() -> None:
    bed = Bed(policy())
    async with bed.running():
        bed.result("observed", replicas=0, ready_replicas=0)
        bed.judges.idle = False
        await bed.pass_time(CYCLE)
        assert [(command.direction, command.reason.code) for command in bed.commands()] == [("up", "busy")]


async def test_cycles_of_partitions_are_spread_over_the_interval() -> None:
    keys = [ServiceKey("shop", name) for name in ("web", "cart", "pay", "auth", "mail", "blog")]
    bed = Bed(*(policy(key) for key in keys), partitions=3)
    async with bed.running():
        await bed.pass_time(CYCLE)
        begun = {bed.home(asked[0]): at for at, asked in bed.judges.sweeps}
        assert begun == {0: T0 + CYCLE, 1: T0 + CYCLE / 3, 2: T0 + 2 * CYCLE / 3}


async def test_records_are_applied_while_a_sweep_waits_and_cycles_do_not_pile_up() -> None:
    bed = Bed(policy())
    async with bed.running():
        bed.result("observed", replicas=0, ready_replicas=0)
        bed.judges.free.clear()
        await bed.pass_time(CYCLE)
        bed.request()
        await bed.until(lambda: bool(bed.commands()))
        await bed.pass_time(3 * CYCLE)
        assert len(bed.judges.sweeps) == 1
        bed.judges.free.set()
        await bed.pass_time(CYCLE)
        assert len(bed.judges.sweeps) == 2


async def test_a_service_is_judged_with_the_state_of_when_the_answers_arrive() -> None:
    bed = Bed(policy())
    async with bed.running():
        await awake(bed)
        await bed.pass_time(15 * MINUTE - CYCLE, CYCLE)
        bed.judges.free.clear()
        await bed.pass_time(CYCLE)
        bed.request()
        await bed.settle()
        bed.judges.free.set()
        await bed.flush()
        assert "zero" not in [command.direction for command in bed.commands()]


async def test_answers_to_an_older_policy_put_nothing_to_sleep() -> None:
    bed = Bed(policy())
    async with bed.running():
        await awake(bed)
        await bed.pass_time(15 * MINUTE - CYCLE, CYCLE)
        bed.judges.free.clear()
        await bed.pass_time(CYCLE)
        bed.policies.put(PolicyEntry(WEB, policy(hash="h2")))
        await bed.settle()
        bed.judges.free.set()
        await bed.flush()
        assert bed.commands() == []
        assert "blind" in bed.codes()


async def test_a_scaler_that_breaks_stops_the_sleeps_and_no_wake() -> None:
    bed = Bed(policy(cooldown=MINUTE))
    bed.judges.broken = True
    async with bed.running():
        await awake(bed)
        await bed.pass_time(5 * MINUTE, timedelta(seconds=15))
        assert bed.commands() == []
        assert "blind" in bed.codes()
        bed.result("observed", replicas=0, ready_replicas=0, manager="kubectl")
        bed.request()
        await bed.settle()
        assert [command.direction for command in bed.commands()] == ["up"]


async def test_inputs_that_are_not_read_up_keep_a_service_awake() -> None:
    bed = Bed(policy(cooldown=MINUTE))
    ports = bed.ports()
    async with bed.running(ports):
        await awake(bed)
        await bed.pass_time(MINUTE - timedelta(seconds=1))
        # As if fetching could not keep up: what arrives from now on stays where it is.
        ports.membership.pause(0)
        bed.request(count=0)
        await bed.pass_time(2 * CYCLE)
        assert bed.commands() == []
        assert bed.codes()[-1] == "behind"
        ports.membership.resume(0)
        await bed.settle()
        await bed.pass_time(CYCLE)
        assert [command.direction for command in bed.commands()] == ["zero"]


async def test_too_many_that_fall_idle_at_once_stay_up_for_the_most_part() -> None:
    keys = [ServiceKey("shop", f"s{number}") for number in range(30)]
    bed = Bed(*(policy(key, cooldown=MINUTE) for key in keys))
    async with bed.running():
        await awake(bed, *keys)
        await bed.pass_time(2 * MINUTE, timedelta(seconds=15))
        assert len(bed.commands()) == 10
        assert bed.codes().count("sleep-budget") == 20
        await bed.pass_time(10 * MINUTE, timedelta(seconds=15))
        zeros = {command.service for command in bed.commands() if command.direction == "zero"}
        assert len(zeros) == 20


async def test_a_zero_that_is_asked_again_is_paid_for_once() -> None:
    quick = [ServiceKey("shop", f"quick-{number}") for number in range(9)]
    slow = ServiceKey("shop", "slow")
    bed = Bed(*(policy(key, cooldown=MINUTE) for key in quick), policy(slow, cooldown=5 * MINUTE))
    async with bed.running():
        for key in (*quick, slow):
            bed.result("observed", key)
        await bed.pass_time(7 * MINUTE)
        asked = Counter(command.service for command in bed.commands())
        assert min(asked[key.name] for key in quick) > 1
        assert asked["slow"] >= 1


async def test_the_sleep_budget_survives_a_change_of_owner() -> None:
    keys = [ServiceKey("shop", f"s{number}") for number in range(30)]
    bed = Bed(*(policy(key, cooldown=MINUTE) for key in keys))
    async with bed.running():
        await awake(bed, *keys)
        await bed.pass_time(2 * MINUTE, timedelta(seconds=15))
    async with bed.running():
        await bed.pass_time(2 * MINUTE, timedelta(seconds=15))
        assert len({command.service for command in bed.commands()}) == 10


async def test_a_freeze_stops_the_sleeps_until_it_is_taken_back() -> None:
    bed = Bed(policy(cooldown=MINUTE))
    control(bed, "shop/*", freeze=True)
    async with bed.running():
        await awake(bed)
        await bed.pass_time(3 * MINUTE, timedelta(seconds=15))
        assert bed.commands() == []
        assert "frozen" in bed.codes()
        control(bed, "shop/*")
        await bed.pass_time(CYCLE)
        assert [command.direction for command in bed.commands()] == ["zero"]


async def test_a_tombstone_takes_a_switch_back_and_an_unreadable_one_changes_nothing() -> None:
    bed = Bed(policy(cooldown=MINUTE))
    control(bed, freeze=True)
    async with bed.running():
        await awake(bed)
        bed.log.append(Output(bed.name(Topic.CONTROL), 0, b"*", b"nonsense"))
        await bed.pass_time(3 * MINUTE, timedelta(seconds=15))
        assert bed.commands() == []
        bed.log.append(Output(bed.name(Topic.CONTROL), 0, b"*", None))
        await bed.pass_time(CYCLE)
        assert [command.direction for command in bed.commands()] == ["zero"]


@pytest.mark.parametrize("where", ["install", "switch", "policy"])
async def test_the_strictest_mode_wins(where: str) -> None:
    install = Mode.WAKE_ONLY if where == "install" else Mode.FULL
    of_policy = Mode.WAKE_ONLY if where == "policy" else Mode.FULL
    bed = Bed(policy(cooldown=MINUTE, mode=of_policy), settings=WorkerSettings(mode=install))
    if where == "switch":
        control(bed, "shop/web", mode="wake-only")
    async with bed.running():
        await awake(bed)
        await bed.pass_time(3 * MINUTE, timedelta(seconds=15))
        assert bed.commands() == []
        assert bed.decisions()[-1].withheld


async def test_a_conflict_holds() -> None:
    bed = Bed(policy(cooldown=MINUTE))
    bed.policies.conflicts[WEB] = ServiceKey("shop", "older")
    async with bed.running():
        await awake(bed)
        await bed.pass_time(3 * MINUTE, timedelta(seconds=15))
        assert bed.commands() == []
        assert "conflict" in bed.codes()


async def test_an_unsure_clock_holds_and_is_asked_what_time_it_is() -> None:
    bed = Bed(policy(cooldown=MINUTE))
    bed.clock.sure = False
    async with bed.running():
        await awake(bed)
        await bed.pass_time(3 * MINUTE, timedelta(seconds=15))
        assert bed.commands() == []
        assert "clock" in bed.codes()
        probes = [record for record in bed.records(Topic.STATE) if record.key == b"/clock"]
        assert len(probes) >= 2
        assert bed.clock.learned


async def test_append_times_teach_the_clock() -> None:
    bed = Bed(policy())
    async with bed.running():
        bed.clock.advance(MINUTE)
        bed.request()
        await bed.settle()
        assert bed.clock.learned[-1] == T0 + MINUTE


async def test_an_idle_fleet_writes_nothing() -> None:
    keys = [ServiceKey("shop", f"s{number}") for number in range(20)]
    bed = Bed(*(policy(key) for key in keys))
    async with bed.running():
        for key in keys:
            bed.result("observed", key, replicas=0, ready_replicas=0)
        await bed.pass_time(MINUTE, timedelta(seconds=15))
        written = {topic: len(bed.records(topic)) for topic in (Topic.STATE, Topic.DECISIONS, Topic.SERVICE_STATUS)}
        await bed.pass_time(60 * MINUTE, CYCLE)
        assert written == {topic: len(bed.records(topic)) for topic in written}


async def test_a_policy_that_was_never_valid_holds_and_is_not_swept() -> None:
    bed = Bed()
    bed.policies.put(PolicyEntry(WEB, None))
    async with bed.running():
        await bed.pass_time(CYCLE)
        await bed.flush()
        assert bed.codes() == ["invalid-policy"]
        assert bed.judges.sweeps == []


async def test_a_deleted_policy_gives_its_target_back_and_leaves_tombstones() -> None:
    bed = Bed(policy())
    async with bed.running() as worker:
        bed.result("observed", replicas=0, ready_replicas=0)
        await bed.pass_time(CYCLE)
        bed.policies.drop(WEB)
        await bed.flush()
        assert [(command.direction, command.reason.code) for command in bed.commands()] == [("up", "policy-deleted")]
        assert worker.states() == {}
        assert bed.records(Topic.STATE)[-1].value is None
        assert bed.records(Topic.SERVICE_STATUS)[-1].value is None


async def test_a_policy_deleted_while_nobody_looked_gives_its_target_back() -> None:
    bed = Bed(policy())
    async with bed.running():
        bed.result("observed", replicas=0, ready_replicas=0)
        await bed.flush()
    bed.policies = Listed()
    async with bed.running() as worker:
        await bed.flush()
        assert [command.reason.code for command in bed.commands()] == ["policy-deleted"]
        assert worker.states() == {}


async def test_a_policy_that_vanishes_without_a_word_is_missed_at_the_next_cycle() -> None:
    bed = Bed(policy())
    async with bed.running():
        bed.result("observed", replicas=0, ready_replicas=0)
        await bed.settle()
        bed.policies.drop(WEB, quietly=True)
        await bed.pass_time(CYCLE)
        assert [command.reason.code for command in bed.commands()] == ["policy-deleted"]


async def test_a_policy_that_names_another_target_gives_the_old_one_back() -> None:
    bed = Bed(policy())
    async with bed.running() as worker:
        bed.result("observed", replicas=0, ready_replicas=0)
        await bed.settle()
        other = policy(hash="h2", target=policy(ServiceKey("shop", "other")).target)
        bed.policies.put(PolicyEntry(WEB, other))
        await bed.flush()
        (command,) = bed.commands()
        assert (command.reason.code, command.target.name) == ("target-changed", "web")
        assert worker.states()[WEB].target_ref == other.target


async def test_a_window_is_kept_as_long_as_a_trigger_counts_over_it() -> None:
    bed = Bed(policy())
    bed.judges.windows[WEB] = 5 * MINUTE
    async with bed.running() as worker:
        bed.request()
        await bed.flush()
        first = worker.states()[WEB].window
        assert first is not None
        assert (first.length, first.since) == (5 * MINUTE, T0)
        bed.policies.put(PolicyEntry(WEB, policy(hash="h2")))
        await bed.flush()
        assert worker.states()[WEB].window == first
        bed.judges.windows.clear()
        bed.policies.put(PolicyEntry(WEB, policy(hash="h3")))
        await bed.flush()
        assert worker.states()[WEB].window is None


async def test_the_policy_itself_is_logged_once_with_its_first_decision() -> None:
    bed = Bed(policy())
    async with bed.running():
        await awake(bed)
        bed.result("observed", replicas=0, ready_replicas=0)
        bed.request()
        await bed.pass_time(CYCLE)
        told = [decision.inputs.policy is not None for decision in bed.decisions()]
        assert told[0]
        assert not any(told[1:])


async def test_a_switched_mode_shows_in_the_status_though_nothing_else_changed() -> None:
    bed = Bed(policy())
    async with bed.running():
        bed.result("observed", replicas=0, ready_replicas=0)
        await bed.pass_time(3 * CYCLE, timedelta(seconds=15))
        control(bed, "shop/web", mode="observe")
        await bed.pass_time(CYCLE)
        await bed.flush()
        statuses = [record.value or b"" for record in bed.records(Topic.SERVICE_STATUS)]
        assert b'"mode":"full"' in statuses[-2]
        assert b'"mode":"observe"' in statuses[-1]
        await bed.pass_time(3 * CYCLE, timedelta(seconds=15))
        assert len(bed.records(Topic.SERVICE_STATUS)) == len(statuses)
