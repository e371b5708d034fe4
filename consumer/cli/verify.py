"""`elasti verify`: whether a run kept every promise, judged from its topics alone."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import click
import orjson

from consumer.checker import (
    MEANING,
    Checker,
    Expectations,
    Figures,
    Outage,
    Place,
    RecordingError,
    Verdict,
    Violation,
    Writing,
    load,
)
from consumer.cli.options import KAFKA, AwayProblem, finish_with, needs_kafka, with_settings
from consumer.cli.switching import length, moment
from consumer.core.reasons import span, stamp
from consumer.settings import Settings

_SHOWN = 20
_SECOND = timedelta(seconds=1)
_MILLISECOND = timedelta(milliseconds=1)
_EVERY = 10_000


@dataclass(frozen=True, slots=True)
class _Wish:
    """Where the run is read, whether it is kept, and what is expected of it."""

    recording: Path | None
    save: Path | None
    expectations: Expectations


def _outages(_: click.Context, __: click.Parameter, values: Sequence[str]) -> tuple[Outage, ...]:
    return tuple(_outage(value) for value in values)


def _outage(text: str) -> Outage:
    begin, slash, end = text.partition("/")
    try:
        outage = Outage(datetime.fromisoformat(begin), datetime.fromisoformat(end))
    except ValueError:
        outage = None
    if not slash or outage is None or outage.begin.tzinfo is None or outage.end.tzinfo is None:
        wanted = "two times with their zone, like 2026-01-31T09:30:00Z/2026-01-31T09:40:00Z"
        raise click.BadParameter(f'"{text}" is no time span; write {wanted}')
    return outage


@click.command(
    epilog="\b\nExamples:\n  elasti verify --bootstrap kafka-1:9092\n"
    "  elasti verify --bootstrap kafka-1:9092 --save monday.jsonl.gz\n"
    "  elasti verify --recording monday.jsonl.gz --quiet\n"
    "  elasti verify --recording monday.jsonl.gz --outage 2026-01-31T09:30:00Z/2026-01-31T09:40:00Z\n"
    "  elasti verify --recording monday.jsonl.gz --json | jq '.violations[].sentence'"
)
@click.option(
    "--recording",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Judge this recorded run instead of what Kafka has now.",
)
@click.option(
    "--save",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep what Kafka has now in this file (.gz is fine).",
)
@click.option("--quiet", is_flag=True, help="The run had come to rest: everything that was begun must be finished.")
@click.option("--wake-within", metavar="DURATION", callback=length, help="How long a wake may take.  [default: 1m]")
@click.option(
    "--outage",
    "outages",
    metavar="FROM/TO",
    multiple=True,
    callback=_outages,
    help="A time that does not count against wakes: Kafka, the cluster or the workers were away. May be repeated.",
)
@click.option("--until", metavar="TIME", callback=moment, help="When the run ended.  [default: at its last record]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_settings((*KAFKA, "worker_group", "handler_group"))
def command(settings: Settings, *, as_json: bool, **given: object) -> int:
    """Check that every request woke, nothing was put to sleep wrongly, and nothing was lost, doubled or left undone.

    Reads the installation's topics whole, up to where they end now, or a recorded run. Exit code 0 when nothing is
    violated, 1 when something is, 3 when the run can not be read.
    """
    wish = _wish(given)
    if wish.recording is not None and wish.save is not None:
        raise click.UsageError(f"--save keeps what Kafka has, and {wish.recording} is a file already; leave one out")
    if wish.recording is None:
        needs_kafka(settings)
    try:
        verdict = _of_file(wish.recording, wish) if wish.recording is not None else finish_with(_of_log(settings, wish))
    except (RecordingError, OSError) as error:
        raise AwayProblem(str(error)) from None
    (_print_json if as_json else _print)(verdict)
    return 1 if verdict.violations else 0


def _wish(given: Mapping[str, object]) -> _Wish:
    recording, save, until, outages = given["recording"], given["save"], given["until"], given["outages"]
    within = given["wake_within"]
    plain = Expectations()
    return _Wish(
        recording=recording if isinstance(recording, Path) else None,
        save=save if isinstance(save, Path) else None,
        expectations=Expectations(
            quiet=given["quiet"] is True,
            wake_within=within if isinstance(within, timedelta) else plain.wake_within,
            until=until if isinstance(until, datetime) else None,
            outages=outages if isinstance(outages, tuple) else (),
        ),
    )


def _of_file(path: Path, wish: _Wish) -> Verdict:
    recording = load(path)
    checker = Checker(recording.partitions)
    for count, record in enumerate(recording.records, 1):
        checker.take(record)
        if count % _EVERY == 0:
            _progress(count, None)
    _progress_ends()
    return checker.verdict(wish.expectations)


async def _of_log(settings: Settings, wish: _Wish) -> Verdict:
    # Loaded here: `--help` must not wait for Kafka's client.
    from consumer.app.log import partitions_of  # noqa: PLC0415
    from consumer.app.verifying import records  # noqa: PLC0415

    count = await partitions_of(settings)
    checker = Checker(count)
    with ExitStack() as files:
        writing = files.enter_context(Writing(wish.save, count)) if wish.save is not None else None
        async with aclosing(records(settings, _progress)) as reading:
            async for record in reading:
                checker.take(record)
                if writing is not None:
                    writing.write(record)
    _progress_ends()
    return checker.verdict(wish.expectations)


def _progress(read: int, left: int | None) -> None:
    if sys.stderr.isatty():
        to_come = f", {left:,} to come" if left is not None else ""
        click.echo(f"\r{read:,} records read{to_come}\x1b[K", err=True, nl=False)


def _progress_ends() -> None:
    if sys.stderr.isatty():
        click.echo("\r\x1b[K", err=True, nl=False)


def _print(verdict: Verdict) -> None:
    for violation in verdict.violations[:_SHOWN]:
        _print_violation(violation)
    more = len(verdict.violations) - _SHOWN
    if more > 0:
        click.echo(f"… and {more} more; --json prints all of them\n")
    _print_figures(verdict.figures)
    if not verdict.violations:
        click.secho("nothing is violated", fg="green", bold=True)
        return
    counts = {rule: sum(one.rule is rule for one in verdict.violations) for rule in MEANING}
    said = ", ".join(f"{rule} {count}" for rule, count in counts.items() if count)
    click.secho(f"{len(verdict.violations)} violations: {said}", fg="red", bold=True)


def _print_violation(violation: Violation) -> None:
    of = f" {violation.service}" if violation.service else ""
    click.secho(f"{violation.rule}{of}", fg="red", bold=True)
    click.echo(f"  {violation.sentence}")
    for place in violation.records:
        says = f"  {place.says}" if place.says else ""
        click.echo(f"  {stamp(place.time)}  {place}{says}")
    click.echo(f"  This means: {MEANING[violation.rule]}.\n")


def _print_figures(figures: Figures) -> None:
    for topic, count in figures.records.items():
        click.echo(f"{topic:<16} {count:>10,} records")
    click.echo(
        f"{figures.services} services, {figures.requests} requests, {figures.wakes} wakes, {figures.sleeps} sleeps, "
        f"{figures.dead_letters} dead letters, {figures.owners} owners of partitions"
    )
    exact = figures.replayed - figures.reworded
    click.echo(f"{exact} of {figures.decisions} decisions repeated, byte for byte")
    if figures.reworded:
        click.echo(f"{figures.reworded} of another version of elasti repeated, but for their sentences")
    shown = [(name, figures.delay(share)) for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))]
    if figures.delays:
        said = ", ".join(f"{name} {_short(delay)}" for name, delay in shown if delay is not None)
        click.echo(f"from a request to its accepted wake: {said}")
    for why, count in figures.unjudged.items():
        click.echo(f"not judged: {count} {why}")


def _short(delay: timedelta) -> str:
    return span(delay) if delay >= 10 * _SECOND else f"{delay / _MILLISECOND:.0f}ms"


def _print_json(verdict: Verdict) -> None:
    figures = verdict.figures
    delays = {name: figures.delay(share) for name, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))}
    content = {
        "violations": [_violation_json(one) for one in verdict.violations],
        "figures": {
            "records": dict(figures.records),
            "services": figures.services,
            "requests": figures.requests,
            "wakes": figures.wakes,
            "sleeps": figures.sleeps,
            "decisions": figures.decisions,
            "replayed": figures.replayed,
            "reworded": figures.reworded,
            "owners": figures.owners,
            "deadLetters": figures.dead_letters,
            "wakeDelayMs": {name: delay / _MILLISECOND for name, delay in delays.items() if delay is not None},
            "unjudged": dict(figures.unjudged),
        },
    }
    click.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2))


def _violation_json(violation: Violation) -> Mapping[str, object]:
    return {
        "rule": violation.rule.value,
        "service": violation.service,
        "sentence": violation.sentence,
        "meaning": MEANING[violation.rule],
        "records": [_place_json(place) for place in violation.records],
    }


def _place_json(place: Place) -> Mapping[str, object]:
    return {
        "topic": place.topic,
        "partition": place.partition,
        "offset": place.offset,
        "at": stamp(place.time),
        "says": place.says,
    }
