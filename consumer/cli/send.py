"""`elasti send`: a request count or a host by hand, as a resolver would send it."""

import click

from consumer.cli.options import KAFKA, UsageProblem, finish, needs_kafka, with_settings
from consumer.core.service import ServiceKey
from consumer.ports import Output
from consumer.settings import Settings
from schemas.host import Host
from schemas.partitioning import partition_for, record_key
from schemas.request_count import MAX_COUNT, RequestCount
from schemas.topics import Topic


@click.group(
    epilog="\b\nExamples:\n  elasti send request-count shop/web\n  elasti send host shop/web --traffic-allowed"
)
def command() -> None:
    """Send a request count or a host by hand."""


def _key(text: str) -> ServiceKey:
    try:
        return ServiceKey.parse(text)
    except ValueError as error:
        raise UsageProblem(str(error)) from None


def _send(settings: Settings, topic: Topic, key: ServiceKey, value: bytes) -> int:
    needs_kafka(settings)

    async def work() -> int:
        # Loaded here: `--help` must not wait for Kafka's client.
        from consumer.app import log  # noqa: PLC0415

        partition = partition_for(key.namespace, key.name, await log.partitions_of(settings))
        record = Output(topic.under(settings.topic_prefix), partition, record_key(key.namespace, key.name), value)
        async with log.publisher(settings) as publisher:
            placed = await publisher.publish(record)
        click.echo(f"{placed.topic}/{placed.partition}@{placed.offset}")
        return 0

    return finish(work())


@command.command(
    "request-count",
    short_help="Say that requests came for a service.",
    epilog="\b\nExample:\n  elasti send request-count shop/web --count 3",
)
@click.argument("service", metavar="NAMESPACE/SERVICE")
@click.option("--count", type=click.IntRange(0, MAX_COUNT), default=1, show_default=True, help="0: heard from only.")
@with_settings(KAFKA)
def request_count(settings: Settings, service: str, count: int) -> int:
    """Say that requests came for a service; prints where the record went."""
    key = _key(service)
    return _send(
        settings, Topic.REQUEST_COUNTS, key, RequestCount(count=count, svc=key.name, namespace=key.namespace).encode()
    )


@command.command(
    short_help="Say whether the requests of a host pass its resolver.",
    epilog="\b\nExample:\n  elasti send host shop/web --incoming web.example.com --no-traffic-allowed",
)
@click.argument("service", metavar="NAMESPACE/SERVICE")
@click.option("--incoming", help="The incoming host. [default: SERVICE.NAMESPACE]")
@click.option("--traffic-allowed/--no-traffic-allowed", required=True, help="Whether requests pass the resolver now.")
@with_settings(KAFKA)
def host(settings: Settings, service: str, incoming: str | None, *, traffic_allowed: bool) -> int:
    """Say for a resolver whether the requests of a host pass it; prints where the record went."""
    key = _key(service)
    message = Host(
        incoming_host=incoming or f"{key.name}.{key.namespace}",
        namespace=key.namespace,
        source_service=key.name,
        traffic_allowed=traffic_allowed,
    )
    return _send(settings, Topic.HOSTS, key, message.encode())
