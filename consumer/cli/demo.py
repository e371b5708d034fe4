"""`elasti demo`: a show on a real Kafka, in a terminal or line by line."""

import sys
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from consumer.cli.options import AwayProblem, finish_with, with_settings
from consumer.core.schedule import InvalidDuration, parse_go_duration
from consumer.ports import TargetError
from consumer.settings import Settings
from consumer.telemetry import configure_logging

if TYPE_CHECKING:
    from consumer.demo.stage import Open


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
    "  elasti demo --for 45s --picture demo.svg\n"
    "  elasti demo --cluster real\n\n"
    "\b\nWhile it runs, in another terminal (the address is in its first line):\n"
    "  elasti explain shop/cart --kafka-bootstrap 127.0.0.1:PORT"
)
@click.option(
    "--cluster",
    "place",
    type=click.Choice(["simulated", "real"]),
    default="simulated",
    show_default=True,
    help="real: a Kubernetes control plane on this machine (the first time it is built with Go, about 10 minutes); "
    "its API server and controllers are real, and its pods get ready without being run.",
)
@click.option("--for", "length", metavar="DURATION", callback=_length, help="End by itself after this long, as in 60s.")
@click.option(
    "--plain", "form", flag_value="plain", help="One line a decision instead of the screen; so without a terminal."
)
@click.option(
    "--json", "form", flag_value="json", help="Print the summary as JSON, and nothing else to standard output."
)
@click.option(
    "--picture",
    "pictures",
    multiple=True,
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    callback=_pictures,
    help="Save the last screen as .svg or .txt; may be repeated.",
)
# Not the setting `cluster`, a name in messages: here the word is for what is played on.
@with_settings(("config", "kafka_bootstrap", "topic_prefix"))
def command(
    settings: Settings, place: str, form: str | None, length: timedelta | None, pictures: tuple[Path, ...]
) -> int:
    """Watch a dozen services sleep and wake, each with its reason.

    Kafka, worker, handler and gateway are real; metrics and callers are simulated, and so is the cluster, unless it is
    asked for with `--cluster real`. Keys break something on purpose. Everything that was started ends with it, and
    nothing stays behind.
    """
    configure_logging("console", "error")
    as_json = form == "json"
    shown = form is None and sys.stdout.isatty()
    # Loaded here: `--help` must not wait for the clients of Kafka and Prometheus.
    from consumer.demo.play import Wishes, play  # noqa: PLC0415

    def say(line: str) -> None:
        click.echo(line, err=as_json)

    cluster = _cluster(place, say)
    summary = finish_with(play(settings, Wishes(cluster, length, shown=shown, say=say, pictures=pictures)))
    if summary is None:
        raise click.Abort
    click.echo(orjson.dumps(summary.as_json(), option=orjson.OPT_INDENT_2) if as_json else "\n".join(summary.lines()))
    return 0


def _cluster(place: str, say: Callable[[str], None]) -> "Open":
    if place == "simulated":
        from consumer.demo.simulated import simulated  # noqa: PLC0415

        return simulated
    from consumer.demo.real import prepare, real  # noqa: PLC0415

    try:
        prepare(say)
    except TargetError as error:
        raise AwayProblem(str(error)) from None
    except KeyboardInterrupt:
        raise click.Abort from None
    return partial(real, say=say)
