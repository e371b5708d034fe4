"""`elasti diff`: what we would have done beside what happened."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import click
import orjson

from consumer.cli.options import KAFKA, checked, finish, needs_kafka, places, with_settings
from consumer.cli.switching import length
from consumer.core.reasons import span, stamp
from consumer.insight.rehearsal import Compared
from consumer.settings import Settings

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_NAME = 28
_ENOUGH = 20
"""One of fewer sleeps is more than five in a hundred: a percentage would sound surer than it is."""


@click.command(
    epilog="\b\nExamples:\n  elasti diff\n  elasti diff -n shop --since 168h\n"
    "  elasti diff --json | jq '.services[] | select(.falseSleeps > 0)'"
)
@click.option("-n", "--namespace", "of", metavar="NAMESPACE", help="Only services of this namespace.")
@click.option("--since", metavar="DURATION", callback=length, help="How far back.  [default: 24h]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_settings(KAFKA)
def command(settings: Settings, of: str | None, since: timedelta | None, *, as_json: bool) -> int:
    """Say, service by service, what the mode withheld, and what happened in truth.

    A false sleep is one after which something asked for the service within one cooldown. Exit code 1 when nothing
    was decided in that time.
    """
    needs_kafka(settings)
    namespace, back, where = checked(of) if of is not None else None, since or _DAY, places()

    async def work() -> int:
        # Loaded here: `--help` must not wait for Kafka's client.
        from consumer.app.comparing import rehearsal  # noqa: PLC0415

        async with where.log(settings) as log:
            read = await rehearsal(log)
        now = where.clock.read().now
        found = [one for one in read.compared(now - back, now) if namespace in (None, one.key.namespace)]
        if as_json:
            content = {"since": stamp(now - back), "until": stamp(now), "services": [_as_json(one) for one in found]}
            click.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2))
        else:
            _print(found, back)
        return 0 if found else 1

    return finish(work())


def _print(found: Sequence[Compared], back: timedelta) -> None:
    if not found:
        click.echo(f"nothing was decided in the last {span(back)}; is a worker running, and are there policies?")
        return
    click.secho(f"{'':{_NAME}} --- would have ---------------  --- in truth -------", bold=True)
    click.secho(f"{'service':{_NAME}} slept  woken  false   saved  slept  woken  others", bold=True)
    for one in found:
        _line(one)
    total = Compared(
        key=found[0].key,
        sleeps=sum(one.sleeps for one in found),
        wakes=sum(one.wakes for one in found),
        false_sleeps=sum(one.false_sleeps for one in found),
        saved=sum((one.saved for one in found), timedelta()),
    )
    click.echo()
    click.echo(_verdict(total, back))
    for one in found:
        if one.false_sleeps:
            said = f"  {one.key}: {one.false_sleeps} of {one.sleeps} came too early; raise its cooldownPeriod"
            click.secho(said, fg="red")


def _line(one: Compared) -> None:
    name = str(one.key)
    shown = name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"
    others = f"{one.by_others}" + (f" ({', '.join(one.others)})" if one.others else "")
    click.secho(
        f"{shown:{_NAME}} {one.sleeps:>5}  {one.wakes:>5}  {one.false_sleeps:>5}  {one.saved / _HOUR:>5.1f}h"
        f"  {one.real_sleeps:>5}  {one.real_wakes:>5}  {others}",
        fg="red" if one.false_sleeps else None,
    )


def _verdict(total: Compared, back: timedelta) -> str:
    if not total.sleeps:
        return f"In the last {span(back)} the mode withheld no sleep."
    sleeps, they = ("sleep", "it") if total.sleeps == 1 else ("sleeps", "they")
    return (
        f"In the last {span(back)}: {total.sleeps} {sleeps} withheld, {total.false_sleeps} of {total.sleeps} false"
        f"{_share(total)};\n{they} would have saved {total.saved / _HOUR:.1f} replica hours."
    )


def _share(total: Compared) -> str:
    """How many were right in per cent, where there are enough to say so; never rounded up to all."""
    if total.sleeps < _ENOUGH:
        return ""
    right = (total.sleeps - total.false_sleeps) * 1000 // total.sleeps / 10
    return f" ({right:.1f}% of {total.sleeps} right)"


def _as_json(one: Compared) -> Mapping[str, object]:
    return {
        "service": str(one.key),
        "wouldHaveSlept": one.sleeps,
        "wouldHaveWoken": one.wakes,
        "falseSleeps": one.false_sleeps,
        "hoursAtZero": round(one.asleep / _HOUR, 3),
        "replicaHoursSaved": round(one.saved / _HOUR, 3),
        "slept": one.real_sleeps,
        "woken": one.real_wakes,
        "hoursAtZeroInTruth": round(one.at_zero / _HOUR, 3),
        "changesByOthers": one.by_others,
        "others": list(one.others),
    }
