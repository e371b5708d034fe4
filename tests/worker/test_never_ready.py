"""That no replica got ready is said by who has heard everything: results may wait in the log while nobody reads."""

from datetime import timedelta

import pytest

from tests.worker.bed import WEB, Bed, policy

AWAY = timedelta(minutes=40)
"""For longer than a start may take."""
HEARD = timedelta(seconds=30)
CYCLE = timedelta(seconds=30)


async def woken(bed: Bed) -> None:
    """A wake is accepted, and then no worker is there."""
    async with bed.running():
        bed.result("observed", replicas=0, ready_replicas=0)
        await bed.settle()
        bed.request()
        await bed.flush()
        (command,) = bed.commands()
        bed.result("accepted", replicas=1, command_id=command.id, cause="command", target=target(2), ready_replicas=0)
        await bed.flush()
    bed.clock.advance(AWAY)


def target(generation: int) -> dict[str, object]:
    return {"api_version": "apps/v1", "kind": "Deployment", "name": "web", "uid": "t1", "generation": generation}


@pytest.mark.parametrize("later", [timedelta(), timedelta(seconds=20)], ids=["waits in the log", "told a little later"])
async def test_a_replica_that_got_ready_while_no_worker_was_there_counts(later: timedelta) -> None:
    bed = Bed(policy())
    await woken(bed)
    if not later:
        bed.result("ready", target=target(2))
    async with bed.running():
        await bed.pass_time(later)
        if later:
            bed.result("ready", target=target(2))
        await bed.pass_time(HEARD + 2 * CYCLE)
    assert "never-ready" not in bed.codes()


async def test_one_that_never_did_is_told_of_once_the_new_owner_has_heard_the_handlers() -> None:
    bed = Bed(policy())
    await woken(bed)
    async with bed.running() as worker:
        await bed.pass_time(HEARD - timedelta(seconds=1))
        assert "never-ready" not in bed.codes()
        await bed.pass_time(timedelta(seconds=1) + CYCLE)
        assert bed.codes().count("never-ready") == 1
        assert worker.states()[WEB].wake is None


async def test_where_the_worker_was_there_it_is_said_to_the_second() -> None:
    bed = Bed(policy())
    async with bed.running():
        bed.result("observed", replicas=0, ready_replicas=0)
        await bed.settle()
        bed.request()
        await bed.flush()
        (command,) = bed.commands()
        bed.result("accepted", replicas=1, command_id=command.id, cause="command", target=target(2), ready_replicas=0)
        accepted = bed.clock.now
        await bed.pass_time(timedelta(minutes=31))
    (given_up,) = [each for each in bed.decisions() if each.reason.code == "never-ready"]
    limit = accepted + timedelta(minutes=30)
    assert limit <= given_up.now <= limit + timedelta(seconds=1)
