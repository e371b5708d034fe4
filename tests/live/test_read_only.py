"""The whole program where no file can be written: it starts, decides, wakes and ends as anywhere else."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from consumer.adapters.embedded_kafka import EmbeddedKafka
from consumer.adapters.kafka import KafkaConnection, KafkaReader
from schemas.codec import decode
from schemas.scale_result import Phase, ScaleResult
from schemas.topics import Topic
from tests.live.program import LIMIT, elasti, line_with, surroundings

POLICY = """\
apiVersion: elasti.truefoundry.com/v1alpha1
kind: ElastiService
metadata: {name: web, namespace: shop}
spec:
  service: web
  cooldownPeriod: 2
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  triggers:
    - {type: request-count, metadata: {threshold: '1', window: 2s}}
"""
# Python asks this hook before it opens, makes, moves or removes anything; what it raises is what the caller gets.
WRITES = """\
import errno, os, sys
CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate", "os.chmod"}
def refuse(event, given):
    opened = event == "open" and isinstance(given[0], (str, bytes)) and isinstance(given[2], int)
    writes = opened and given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if event in CHANGES or (writes and not os.fsdecode(given[0]).startswith("/dev/")):
        raise OSError(errno.EROFS, "Read-only file system", given[0])
sys.addaudithook(refuse)
try:
    open("/tmp/elasti-read-only", "w")
except OSError as refused:
    print(refused, file=sys.stderr)
from consumer.cli import main
main()
"""


@asynccontextmanager
async def on_a_read_only_file_system(*words: object) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-B", "-c", WRITES, *(str(word) for word in words)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=surroundings(),
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def accepted(kafka: EmbeddedKafka, prefix: str, such: Callable[[ScaleResult], bool]) -> None:
    """Wait until the cluster took such a change."""
    reader, topic = KafkaReader(KafkaConnection(kafka.bootstrap)), prefix + Topic.SCALE_RESULTS
    async with asyncio.timeout(LIMIT):
        while True:
            read = [
                decode(ScaleResult, record.value)
                for partition in range(2)
                async for batch in reader.read_to_end(topic, partition)
                for record in batch
            ]
            results = [one for one in read if isinstance(one, ScaleResult) and one.phase is Phase.ACCEPTED]
            if any(such(one) for one in results):
                return
            await asyncio.sleep(0.2)


async def test_it_needs_no_file_of_its_own(kafka: EmbeddedKafka, prefix: str, tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(POLICY)
    place = ("--kafka-bootstrap", kafka.bootstrap, "--topic-prefix", prefix)
    assert (await elasti("topics", "create", "--partitions", 2, *place))[0] == 0
    words = (
        "--policies",
        tmp_path,
        "--cluster-access",
        "simulated",
        "--polling-interval",
        "1s",
        "--log-format",
        "json",
    )
    async with on_a_read_only_file_system(
        "run", *words, "--http-host", "127.0.0.1", "--http-port", 0, *place
    ) as process:
        assert "Read-only file system" in await line_with(process.stderr, "elasti-read-only")
        said = await line_with(process.stderr, "elasti runs gateway, handler, worker", "http://")
        address = f"http://{said.partition('http://')[2].split('/')[0].split()[0]}"
        # Idle, it sleeps: all that a decision needs was done without a file.
        await accepted(kafka, prefix, lambda result: result.replicas == 0)
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{address}/informer/incoming-request", json={"svc": "web", "namespace": "shop"}) as answer,
        ):
            assert answer.status == 200
        await accepted(kafka, prefix, lambda result: result.replicas > 0)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(LIMIT):
            _, rest = await process.communicate()
        assert process.returncode == 0
        assert "Traceback" not in rest.decode()
