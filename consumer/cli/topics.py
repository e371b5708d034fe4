"""`elasti topics`: create what is missing, verify what is there."""

import click

from consumer.cli.options import KAFKA, finish, needs_kafka, with_settings
from consumer.settings import Settings


@click.group(epilog="\b\nExamples:\n  elasti topics create --kafka-bootstrap kafka:9092\n  elasti topics verify")
def command() -> None:
    """Create the topics, or verify that they are as they should be."""


@command.command(
    short_help="Create the topics that are missing.",
    epilog="\b\nExample:\n  elasti topics create --kafka-bootstrap kafka:9092 --partitions 24",
)
@with_settings((*KAFKA, "partitions", "replication_factor"))
def create(settings: Settings) -> int:
    """Create the topics that are missing; those that exist stay as they are."""
    needs_kafka(settings)

    async def work() -> int:
        # Loaded here: `--help` must not wait for Kafka's client.
        from consumer.app import log  # noqa: PLC0415

        created = await log.create(settings)
        click.echo("\n".join(f"created {name}" for name in created) or "all topics are there already")
        return 0

    return finish(work())


@command.command(
    short_help="Say what is not as it should be; exit code 1 if anything is.",
    epilog="\b\nExample:\n  elasti topics verify || echo 'something is not as it should be'",
)
@with_settings(KAFKA)
def verify(settings: Settings) -> int:
    """Say what about the topics is not as it should be; exit code 1 if anything is."""
    needs_kafka(settings)

    async def work() -> int:
        # Loaded here: `--help` must not wait for Kafka's client.
        from consumer.app import log  # noqa: PLC0415

        problems = await log.verify(settings)
        click.echo("\n".join(problems) or "all topics are as they should be")
        return 1 if problems else 0

    return finish(work())
