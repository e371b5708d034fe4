"""`elasti tail`: follow what was decided, asked and done, one line a record."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing

import click
import orjson

from consumer.cli.options import KAFKA, finish, needs_kafka, with_settings
from consumer.core.reasons import stamp
from consumer.ports import Record
from consumer.settings import Settings
from schemas.codec import Undecodable, decode
from schemas.decision import Decision
from schemas.scale_command import ScaleCommand
from schemas.scale_result import ScaleResult
from schemas.topics import Topic


def _decision(value: bytes | None) -> str | Undecodable:
    read = decode(Decision, value)
    if isinstance(read, Undecodable):
        return read
    withheld = " (withheld)" if read.withheld else ""
    return f"{read.namespace}/{read.service} {read.action}{withheld} {read.reason.code}: {read.reason.message}"


def _command(value: bytes | None) -> str | Undecodable:
    read = decode(ScaleCommand, value)
    if isinstance(read, Undecodable):
        return read
    return (
        f"{read.namespace}/{read.service} {read.direction} to {read.replicas} "
        f"{read.target.kind}/{read.target.name} {read.reason.code} seq {read.seq}"
    )


def _result(value: bytes | None) -> str | Undecodable:
    read = decode(ScaleResult, value)
    if isinstance(read, Undecodable):
        return read
    by = f" by {read.manager}" if read.manager else ""
    error = f": {read.error.message}" if read.error else ""
    return (
        f"{read.namespace}/{read.service} {read.phase} {read.ready_replicas} ready of {read.replicas} wanted{by}{error}"
    )


_SHOWN: Mapping[str, tuple[Topic, Callable[[bytes | None], str | Undecodable]]] = {
    "results": (Topic.SCALE_RESULTS, _result),
    "decisions": (Topic.DECISIONS, _decision),
    "commands": (Topic.SCALE_COMMANDS, _command),
}


@click.command(
    epilog="\b\nExamples:\n  elasti tail decisions\n  elasti tail results --from-beginning\n"
    "  elasti tail commands --json | jq .service"
)
@click.argument("what", type=click.Choice(sorted(_SHOWN)))
@click.option("--from-beginning", is_flag=True, help="Start with the oldest record instead of the next.")
@click.option("--json", "as_json", is_flag=True, help="Print the records as JSON, one a line.")
@with_settings(KAFKA)
def command(settings: Settings, what: str, *, from_beginning: bool, as_json: bool) -> int:
    """Follow results, decisions or commands until Ctrl-C."""
    needs_kafka(settings)
    topic, shown = _SHOWN[what]

    def print_all(records: Sequence[Record]) -> None:
        for record in records:
            place = f"{record.partition}@{record.offset}"
            if as_json:
                click.echo(_json(record, place))
                continue
            text = shown(record.value)
            said = f"can not be read: {text.cause}" if isinstance(text, Undecodable) else text
            click.echo(f"{stamp(record.at)} {place:>8} {said}")

    async def work() -> int:
        # Loaded here: `--help` must not wait for Kafka's client.
        from consumer.app import log  # noqa: PLC0415

        async with aclosing(log.follow(settings, topic, from_beginning=from_beginning)) as following:
            async for records in following:
                print_all(records)
        return 0

    return finish(work())


def _json(record: Record, place: str) -> str:
    try:
        value: object = orjson.loads(record.value or b"null")
    except orjson.JSONDecodeError:
        return orjson.dumps({"at": stamp(record.at), "place": place, "undecodable": True}).decode()
    return orjson.dumps({"at": stamp(record.at), "place": place, "value": value}).decode()
