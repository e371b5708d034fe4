"""Secrets that a program knows, in all places that tell something: they are in none of them."""

import asyncio
import base64
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
import pytest
from aiohttp import web

from consumer.adapters.control_plane import ControlPlane
from consumer.app import log
from consumer.insight.acls import Part, permits
from consumer.ports import Record
from consumer.settings import Settings
from schemas.codec import decode
from schemas.decision import Decision
from schemas.topics import Topic
from tests.bed.kube import Kube
from tests.bed.manifests import Manifest, deployment
from tests.bed.secure_kafka import SecureKafka, secure

__all__ = ["secure"]

_AUTHORIZATION = "canary-of-the-setting-1f0e"
_HEADER = "canary-of-a-header-2b7c"
_SECRET = "canary-of-a-secret-3d9a"  # noqa: S105 - it is there to be looked for
_IN_URL = "canary-of-an-address-4e5b"
_TOKEN = "canary-of-the-token-5f6c"  # noqa: S105 - as above
_LIMIT = 90
_LOOK_AGAIN = 0.1


async def _echo(request: web.Request) -> web.Response:
    """A Prometheus that is asked wrongly, and repeats everything that it was sent."""
    words = " ".join(f"{name}={value}" for name, value in request.headers.items())
    match request.match_info["how"]:
        case "refusing":
            return web.json_response({"status": "error", "errorType": "bad_data", "error": words}, status=400)
        case "warning":
            data = {"resultType": "vector", "result": []}
            return web.json_response({"status": "success", "data": data, "warnings": [words]})
        case _:
            return web.Response(status=500, text=words)


@pytest.fixture
async def prometheus() -> AsyncIterator[str]:
    """The address of such servers, each behind a path of its own."""
    app = web.Application()
    app.router.add_post("/{how}/api/v1/query", _echo)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


def _policy(name: str, address: str, **more: object) -> Manifest:
    metadata = {"query": "up", "threshold": "1", "serverAddress": address, **more}
    return {
        "apiVersion": "elasti.truefoundry.com/v1alpha1",
        "kind": "ElastiService",
        "metadata": {"name": name},
        "spec": {
            "service": name,
            "minTargetReplicas": 1,
            "cooldownPeriod": 1,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "triggers": [{"type": "prometheus", "metadata": metadata}],
        },
    }


def _policies(prometheus: str) -> Mapping[str, Manifest]:
    reference = {"secretKeyRef": {"name": "prometheus", "key": "token"}}
    from_secret = {"Authorization": {"prefix": "Bearer ", **reference}, "X-Plain": reference}
    given = {"headers": {"X-Scope": _HEADER}, "headersFrom": from_secret}
    return {
        "refusing": _policy("refusing", f"http://{prometheus}/refusing", **given),
        "warning": _policy("warning", f"http://{prometheus}/warning", **given),
        "broken": _policy("broken", f"http://{prometheus}/broken", **given),
        "of-all": _policy("of-all", f"http://{prometheus}/refusing"),
        "addressed": _policy("addressed", f"http://user:{_IN_URL}@{prometheus}/refusing"),
        # Nothing listens there.
        "away": _policy("away", f"http://user:{_IN_URL}@127.0.0.1:9"),
    }


@dataclass(frozen=True, slots=True)
class Watched:
    """A program that runs with canaries, and the ways to all that it tells."""

    kube: Kube
    namespace: str
    settings: Settings
    environment: Mapping[str, str]
    canaries: Sequence[str]

    async def command(self, *words: object) -> str:
        """What a command says, however it ends."""
        process = await _elasti(self.environment, *words)
        out, err = await process.communicate()
        return out.decode() + err.decode()

    async def records(self, topic: Topic) -> Sequence[Record]:
        partitions = 1 if topic in {Topic.CONTROL, Topic.DEAD_LETTER} else self.settings.partitions
        reader, name = log.reader(self.settings), topic.under(self.settings.topic_prefix)
        return [
            record
            for partition in range(partitions)
            async for batch in reader.read_to_end(name, partition)
            for record in batch
        ]

    async def until_blind(self, services: set[str]) -> None:
        """Wait until there are decisions on all of them that speak of what their servers said."""
        async with asyncio.timeout(_LIMIT):
            while True:
                decisions = [decode(Decision, record.value) for record in await self.records(Topic.DECISIONS)]
                told = [one for one in decisions if isinstance(one, Decision) and one.reason.code == "blind"]
                if {one.service for one in told} >= services:
                    return
                await asyncio.sleep(_LOOK_AGAIN)

    async def everything(self, address: str) -> Mapping[str, str]:
        """All that can be read of it from outside, by where it stands."""
        where = f"/apis/elasti.truefoundry.com/v1alpha1/namespaces/{self.namespace}/elastiservices"
        statuses = [item.get("status") for item in (await self.kube.call("GET", where))["items"]]
        events = await self.kube.call("GET", f"/api/v1/namespaces/{self.namespace}/events")
        records = {topic.value: str([tuple(record) for record in await self.records(topic)]) for topic in Topic}
        pages = {name: await _page(f"{address}{name}") for name in ("/metrics", "/readyz", "/healthz", "/crd-cache")}
        pages["refused"] = await _page(f"{address}/crd-cache", token=f"{_TOKEN}-but-for-its-end")
        commands = {
            "explain": await self.command("explain", f"{self.namespace}/refusing"),
            "explain --output json": await self.command("explain", f"{self.namespace}/refusing", "--output", "json"),
            "doctor": await self.command("doctor", "--output", "json"),
            "switches": await self.command("switches"),
            "topics verify": await self.command("topics", "verify"),
        }
        return {"statuses": json.dumps(statuses), "events": json.dumps(events), **records, **pages, **commands}


async def _page(address: str, token: str = _TOKEN) -> str:
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(address) as answer:
        assert answer.status == (HTTPStatus.OK if token == _TOKEN else HTTPStatus.UNAUTHORIZED)
        return await answer.text()


async def _elasti(environment: Mapping[str, str], *words: object) -> asyncio.subprocess.Process:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ELASTI_")}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "consumer", *(str(word) for word in words)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**inherited, **environment},
    )


@asynccontextmanager
async def _running(environment: Mapping[str, str], said: list[str]) -> AsyncIterator[str]:
    """Run the program, keep all that it says, and yield where it listens."""
    process = await _elasti(environment, "run")
    listens: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def listen() -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            said.append(line.decode())
            found = re.search(r"elasti runs .*(http://[^/]+)", said[-1])
            if found is not None and not listens.done():
                listens.set_result(found[1])

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(listen())
        try:
            yield await asyncio.wait_for(listens, _LIMIT)
        finally:
            process.terminate()
            await process.wait()


@pytest.fixture
async def watched(secure: SecureKafka, cluster: ControlPlane, kube: Kube, namespace: str, prefix: str) -> Watched:
    """All parts in the name of a user of their own, on a cluster with a policy for each way of being answered."""
    user = f"user-{prefix}"
    settings = Settings.model_validate(
        {**secure.settings_of_admin(), "topic_prefix": prefix, "partitions": 1, "replication_factor": 1}
    )
    await log.create(settings)
    password = await secure.user(user)
    every = (Part.WORKER, Part.HANDLER, Part.GATEWAY, Part.OPERATOR)
    await secure.allow(user, {permit for part in every for permit in permits(part, log.names_of(settings))})
    environment = {
        "ELASTI_KAFKA_BOOTSTRAP": secure.bootstrap,
        "ELASTI_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "ELASTI_KAFKA_SASL_USERNAME": user,
        "ELASTI_KAFKA_SASL_PASSWORD": password,
        "ELASTI_KAFKA_TLS_CA": str(secure.ca),
        "ELASTI_TOPIC_PREFIX": prefix,
        "ELASTI_CLUSTER_ACCESS": "kubeconfig",
        "ELASTI_KUBECONFIG": str(cluster.kubeconfig()),
        "ELASTI_WATCH_NAMESPACES": namespace,
        "ELASTI_PROMETHEUS_AUTHORIZATION": _AUTHORIZATION,
        "ELASTI_POLLING_INTERVAL": "1s",
        "ELASTI_LOG_LEVEL": "debug",
        "ELASTI_LOG_FORMAT": "json",
        "ELASTI_HTTP_HOST": "127.0.0.1",
        "ELASTI_HTTP_PORT": "0",
        "ELASTI_HTTP_TOKEN": _TOKEN,
    }
    canaries = (password, cluster.admin_token, _AUTHORIZATION, _HEADER, _SECRET, _encoded(_SECRET), _IN_URL, _TOKEN)
    more = (_encoded(f"user:{_IN_URL}"),)
    return Watched(kube, namespace, settings, environment, (*canaries, *more))


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


async def test_no_secret_is_in_anything_that_a_program_tells(watched: Watched, prometheus: str) -> None:
    kube, namespace = watched.kube, watched.namespace
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "prometheus"}}
    await kube.apply({**secret, "data": {"token": _encoded(_SECRET)}}, namespace)
    policies = _policies(prometheus)
    for name, policy in policies.items():
        await kube.apply(deployment(name, replicas=1), namespace)
        await kube.apply(policy, namespace)
    server = {"ELASTI_PROMETHEUS_ADDRESS": f"http://{prometheus}/refusing"}
    said: list[str] = []
    async with _running({**watched.environment, **server}, said) as address:
        await watched.until_blind(set(policies))
        told = {**await watched.everything(address), "log": "".join(said)}
    # What the servers repeated did arrive, and is told without what is secret in it.
    assert "X-Scope=********" in told["decisions"]
    assert "X-Scope=********" in told["explain"]
    assert [(place, secret) for place, text in told.items() for secret in watched.canaries if secret in text] == []
