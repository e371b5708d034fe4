"""`elasti verify` on a real broker: what the program really wrote keeps every promise, and what is spoiled does not."""

import asyncio
from pathlib import Path

from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.app.verifying import recorded
from consumer.checker import Expectations, Verdict, check, load
from consumer.settings import ALL_ROLES, Role
from schemas.scale_command import Direction
from schemas.topics import Topic
from tests.checker.runs import host
from tests.live.program import elasti
from tests.live.system import Program, System, installed

_PATIENCE = 60
_LOOK_AGAIN = 0.2


async def a_while(system: System) -> None:
    """Sleeps and wakes, a stray, a word on a host, poison, and an owner that is replaced."""
    program = await system.run(ALL_ROLES)
    services = [system.service(name, replicas=1) for name in ("web", "cart", "search")]
    await system.until(lambda: all(system.replicas(service) == 0 for service in services))
    web, cart, search = services
    for count in (1, 5):
        await system.request(web, count)
    wrong = (system.partition(cart) + 1) % system.settings.partitions
    await system.send(Topic.REQUEST_COUNTS, b'{"svc": "cart", "namespace": "shop"}', partition=wrong)
    await system.send(Topic.HOSTS, host(search.key), partition=system.partition(search), key=bytes(search.key))
    for topic in (Topic.REQUEST_COUNTS, Topic.SCALE_RESULTS, Topic.SCALE_COMMANDS):
        await system.send(topic, b"poison", partition=0)
    await system.until(lambda: system.ready(web) and system.ready(cart))
    await program.stop()
    await system.run(frozenset({Role.WORKER}))
    second: Program = await system.run(frozenset({Role.HANDLER}))
    await system.request(search)
    await system.until(lambda: system.ready(search))
    await system.until(lambda: all(len(system.commands(each, Direction.ZERO)) > 1 for each in services))
    await system.until(lambda: all(system.replicas(service) == 0 for service in services))
    assert not second.running.done()


async def at_rest(system: System, actual: dict[str, int]) -> Verdict:
    """Judge the run until everything that is on its way has come to rest."""
    async with asyncio.timeout(_PATIENCE):
        while True:
            verdict = check(await recorded(system.settings), Expectations(quiet=True, actual=actual))
            if not verdict.violations:
                return verdict
            await asyncio.sleep(_LOOK_AGAIN)


async def test_what_the_program_wrote_keeps_every_promise(kafka: EmbeddedKafka, prefix: str, tmp_path: Path) -> None:
    async with installed(System(kafka.bootstrap, prefix, tmp_path / "policies")) as system:
        await a_while(system)
        verdict = await at_rest(system, dict.fromkeys(("shop/web", "shop/cart", "shop/search"), 0))
        figures = verdict.figures
        assert (figures.services, figures.wakes, figures.sleeps) == (3, 3, 6)
        assert figures.decisions == figures.replayed
        # The handler's way out is no transaction: its successor may bury the same command again.
        assert figures.dead_letters in (3, 4)
        place = ("--bootstrap", kafka.bootstrap, "--topic-prefix", prefix)
        file = tmp_path / "run.jsonl.gz"
        code, out, err = await elasti("verify", "--quiet", "--save", file, *place)
        assert (code, err) == (0, "")
        assert "nothing is violated" in out
        saved = load(file)
        assert saved.partitions == system.settings.partitions
        assert check(saved, Expectations(quiet=True)).violations == ()
        # The same Kafka, once somebody wrote a decision again.
        last = [one for one in saved.records if one.topic == Topic.DECISIONS][-1]
        await system.send(Topic.DECISIONS, last.value, partition=last.partition, key=last.key)
        code, out, _ = await elasti("verify", *place)
        assert code == 1
        assert "one-id-one-decision 1" in out


async def test_a_run_that_can_not_be_read_is_no_verdict(kafka: EmbeddedKafka, prefix: str) -> None:
    code, out, err = await elasti("verify", "--bootstrap", kafka.bootstrap, "--topic-prefix", prefix)
    assert (code, out) == (3, "")
    assert "does not exist; run `elasti topics create`" in err
