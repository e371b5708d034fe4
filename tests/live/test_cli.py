"""The commands on a real broker: topics, a run, what is sent to it, what is followed of it, and what it explains."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from consumer.adapters.embedded_kafka import EmbeddedKafka
from tests.live.program import LIMIT, ended, line_with, running, those_of
from tests.live.program import elasti as run_elasti

POLICY = """\
apiVersion: elasti.truefoundry.com/v1alpha1
kind: ElastiService
metadata: {name: web, namespace: shop}
spec:
  service: web
  minTargetReplicas: 1
  cooldownPeriod: 2
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  triggers:
    - {type: request-count, metadata: {threshold: '1', window: 2s}}
"""


@dataclass(frozen=True, slots=True)
class Place:
    """A broker and a prefix: where a test's commands work."""

    bootstrap: str
    prefix: str

    @property
    def words(self) -> tuple[str, ...]:
        """The flags that name it."""
        return ("--kafka-bootstrap", self.bootstrap, "--topic-prefix", self.prefix)

    async def elasti(self, *words: object) -> tuple[int | None, str, str]:
        """Run a command on it to its end."""
        return await run_elasti(*words, *self.words)


@pytest.fixture
def place(kafka: EmbeddedKafka, prefix: str) -> Place:
    return Place(kafka.bootstrap, prefix)


@pytest.fixture
async def topics(place: Place) -> Place:
    code, _, err = await place.elasti("topics", "create", "--partitions", 2)
    assert (code, err) == (0, "")
    return place


@pytest.fixture
async def system(topics: Place, tmp_path: Path) -> AsyncIterator[Place]:
    """A whole program that runs on it, with one service."""
    policies = tmp_path / "web.yaml"
    policies.write_text(POLICY)
    words = ("--policies", policies, "--cluster-access", "simulated", "--polling-interval", "1s")
    async with running("run", *words, "--http-port", 0, "--http-host", "127.0.0.1", *topics.words) as process:
        assert '"polling_interval": "1s"' in await line_with(process.stderr, '"event": "settings"')
        await line_with(process.stderr, "elasti runs gateway, handler, worker")
        yield topics
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(LIMIT):
            _, err = await process.communicate()
        assert process.returncode == 0
        assert "Traceback" not in err.decode()


async def test_topics_are_missed_created_once_and_then_as_they_should_be(place: Place) -> None:
    code, out, _ = await place.elasti("topics", "verify")
    assert (code, f"{place.prefix}request-counts" in out) == (1, True)
    code, out, _ = await place.elasti("topics", "create", "--partitions", 2)
    assert code == 0
    assert f"created {place.prefix}request-counts" in out.splitlines()
    assert await place.elasti("topics", "create", "--partitions", 2) == (0, "all topics are there already\n", "")
    assert await place.elasti("topics", "verify") == (0, "all topics are as they should be\n", "")


@pytest.mark.parametrize(
    "words",
    [
        ("send", "request-count", "shop/web"),
        ("send", "host", "shop/web", "--traffic-allowed"),
        ("tail", "results"),
        ("explain", "shop/web"),
    ],
    ids=" ".join,
)
async def test_without_topics_nothing_is_waited_for(place: Place, words: tuple[str, ...]) -> None:
    code, out, err = await place.elasti(*words)
    assert (code, out) == (3, "")
    assert place.prefix in err
    assert "Traceback" not in err


async def test_a_run_without_topics_ends_and_says_which_command_creates_them(place: Place, tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(POLICY)
    words = ("--policies", tmp_path, "--cluster-access", "simulated", "--http-port", 0)
    code, _, err = await place.elasti("run", *words)
    assert code == 3
    assert "elasti topics create" in err


async def test_a_run_while_kafka_is_away_says_so_and_begins_when_it_is_there(
    own_kafka: EmbeddedKafka, prefix: str, tmp_path: Path
) -> None:
    place = Place(own_kafka.bootstrap, prefix)
    assert (await place.elasti("topics", "create", "--partitions", 2))[0] == 0
    (tmp_path / "web.yaml").write_text(POLICY)
    await own_kafka.kill()
    words = ("--policies", tmp_path, "--cluster-access", "simulated", "--http-port", 0, "--log-format", "json")
    async with running("run", *words, *place.words) as process:
        assert place.bootstrap in await line_with(process.stderr, "Kafka is away")
        await line_with(process.stderr, "elasti runs")
        await own_kafka.restart()
        await line_with(process.stderr, "kafka is there")
        await line_with(process.stderr, "partition taken over")
        process.terminate()
        assert await process.wait() == 0


async def test_what_is_sent_stands_where_it_says(topics: Place) -> None:
    code, out, _ = await topics.elasti("send", "request-count", "shop/web", "--count", 3)
    first = out.strip()
    _, out, _ = await topics.elasti("send", "request-count", "shop/web")
    assert code == 0
    assert first.startswith(f"{topics.prefix}request-counts/")
    assert (first.rpartition("@")[2], out.strip()) == ("0", first.replace("@0", "@1"))
    code, out, _ = await topics.elasti("send", "host", "shop/web", "--no-traffic-allowed")
    assert (code, out.startswith(f"{topics.prefix}hosts/")) == (0, True)


async def test_it_sleeps_wakes_when_asked_and_explains_both(system: Place) -> None:
    async with running("tail", "results", "--json", "--from-beginning", *system.words) as tail:
        slept = json.loads(await line_with(tail.stdout, '"phase":"accepted"', '"replicas":0'))
        code, out, err = await system.elasti("explain", "shop/web")
        assert (code, err) == (0, "")
        answer, _, rest = out.partition("\n")
        assert answer.startswith("shop/web is asleep since ")
        assert "nothing was asked of it for a whole cooldown (2s)" in answer
        assert "The rules, in order" in rest
        assert "Nothing is left to be put to sleep: it is asleep" in rest
        assert f"[{system.prefix}scale-results/{slept['place']}]" in rest
        assert "request-count#0 at 1 or above" in rest

        _, place, _ = await system.elasti("send", "request-count", "shop/web")
        await line_with(tail.stdout, '"phase":"ready"', '"replicas":1')
        code, out, _ = await system.elasti("explain", "shop/web", "--json", "--last", 100)
        told = json.loads(out)
        assert code == 0
        assert any(f"caused by {place.strip()}" in link["text"] for link in told["chain"])
        assert [link["what"] for link in told["chain"]].count("asked zero") >= 1

        moment = datetime.fromisoformat(slept["at"])
        code, out, _ = await system.elasti("explain", "shop/web", "--json", "--at", moment.isoformat())
        assert json.loads(out)["answer"].startswith("shop/web is asleep since ")
        assert json.loads(out)["chain"][-1]["what"] in ("accepted", "notReady")


async def test_of_what_nobody_knows_it_says_so(topics: Place) -> None:
    code, out, err = await topics.elasti("explain", "shop/nosuch")
    assert (code, err) == (1, "")
    assert out.startswith("shop/nosuch: nothing is known of it")


async def test_followers_end_quietly(system: Place) -> None:
    async with running("tail", "decisions", "--from-beginning", *system.words) as tail:
        assert "shop/web" in await line_with(tail.stdout, "zero idle:")
        tail.send_signal(signal.SIGINT)
        async with asyncio.timeout(LIMIT):
            _, err = await tail.communicate()
        assert (tail.returncode, err) == (130, b"interrupted\n")
    # As `elasti tail ... | head -1`: the reader goes after the first line.
    words = " ".join(("-m consumer tail decisions --from-beginning", *system.words))
    piped = await asyncio.create_subprocess_exec(
        *("bash", "-c", f'"$0" {words} | head -1; echo "${{PIPESTATUS[0]}}"', sys.executable),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(LIMIT):
        out, err = await piped.communicate()
    assert out.decode().splitlines()[1:] == ["141"]
    assert err == b""


@pytest.mark.parametrize(("at", "code"), [("starting Apache Kafka", 130), ("elasti runs", 0)])
async def test_run_with_dev_leaves_nothing_behind(tmp_path: Path, at: str, code: int) -> None:
    policies, temporary = tmp_path / "web.yaml", tmp_path / "temporary"
    policies.write_text(POLICY)
    temporary.mkdir()
    async with running("run", "--dev", "--policies", policies, "--http-port", 0, folder=temporary) as process:
        await line_with(process.stderr, at)
        family = those_of(temporary)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(LIMIT):
            await process.communicate()
        assert process.returncode == code
        for pid in family:
            await ended(pid)
    assert list(temporary.iterdir()) == []
