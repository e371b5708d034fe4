"""`elasti demo`: a show on a real Kafka, in a terminal or line by line."""

import sys
from datetime import timedelta
from pathlib import Path

import click
import orjson

from consumer.cli.options import finish_with, with_settings
from consumer.core.schedule import InvalidDuration, parse_go_duration
from consumer.settings import Settings
from consumer.telemetry import configure_logging


def _length(_: click.Context, __: click.Parameter, value: str | None) -> timedelta | None:
    if value is None:
        return None
    try:
        length = parse_go_duration(value)
    except InvalidDuration as error:
        raise click.BadParameter(str(error)) from None
    if length <= timedelta():
        raise click.BadParameter("must be above zero, like 60s")
    return length


def _pictures(_: click.Context, __: click.Parameter, value: tuple[Path, ...]) -> tuple[Path, ...]:
    for path in value:
        if path.suffix not in {".svg", ".txt"}:
            raise click.BadParameter(f"{path} must end in .svg or .txt")
        if not path.absolute().parent.is_dir():
            raise click.BadParameter(f"there is no directory {path.absolute().parent}; make it first")
    return value


@click.command(
    epilog="\b\nExamples:\n  elasti demo\n  elasti demo --for 60s\n  elasti demo --for 60s --json > figures.json\n"
    "  elasti demo --for 45s --picture demo.svg\n\n"
    "\b\nWhile it runs, in another terminal (the address is in its first line):\n"
    "  elasti explain shop/cart --kafka-bootstrap 127.0.0.1:PORT"
)
@click.option("--for", "length", metavar="DURATION", callback=_length, help="End by itself after this long, as in 60s.")
@click.option("--plain", is_flag=True, help="One line a decision instead of the screen; so without a terminal.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON, and nothing else to standard output.")
@click.option(
    "--picture",
    "pictures",
    multiple=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_pictures,
    help="Save the last screen as .svg or .txt; may be repeated.",
)
@with_settings(("config", "kafka_bootstrap", "topic_prefix", "cluster"))
def command(
    settings: Settings, length: timedelta | None, pictures: tuple[Path, ...], *, plain: bool, as_json: bool
) -> int:
    """Watch a dozen services sleep and wake, each with its reason.

    Kafka, worker, handler and gateway are real; cluster, metrics and callers are simulated. Keys break something on
    purpose. Everything that was started ends with it, and nothing stays behind.
    """
    configure_logging("console", "error")
    shown = not (plain or as_json) and sys.stdout.isatty()
    # Loaded here: `--help` must not wait for the clients of Kafka and Prometheus.
    from consumer.demo.play import Wishes, play  # noqa: PLC0415

    def say(line: str) -> None:
        click.echo(line, err=as_json)

    summary = finish_with(play(settings, Wishes(length, shown=shown, say=say, pictures=pictures)))
    if summary is None:
        raise click.Abort
    click.echo(orjson.dumps(summary.as_json(), option=orjson.OPT_INDENT_2) if as_json else "\n".join(summary.lines()))
    return 0
