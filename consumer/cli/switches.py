"""`elasti switches`: what is frozen and switched now, by whom, until when, and where that is written."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click
import orjson

from consumer.cli.options import CLUSTER, KAFKA, AwayProblem, finish, places, with_settings
from consumer.core.control import Control, ControlKind
from consumer.core.reasons import stamp
from consumer.settings import Settings

if TYPE_CHECKING:
    from consumer.app.switching import Shown


@click.command(epilog="\b\nExamples:\n  elasti switches\n  elasti switches --json | jq '.switches[].scope'")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_settings((*KAFKA, *CLUSTER))
def command(settings: Settings, *, as_json: bool) -> int:
    """Show every freeze and mode that is in force now, as Kafka and the cluster have it."""
    # Loaded here: `--help` must not wait for the clients of Kafka and Kubernetes.
    from consumer.app.switching import shown  # noqa: PLC0415

    where = places()

    async def work() -> int:
        found = await shown(where, settings)
        if all(each.taken.trouble for each in found):
            lines = [f"{each.taken.place}: {each.taken.trouble}" for each in found]
            raise AwayProblem("no place could be read:\n  " + "\n  ".join(lines))
        if as_json:
            click.echo(orjson.dumps(_as_json(found, where.clock.read().now), option=orjson.OPT_INDENT_2))
        else:
            _print(found, where.clock.read().now)
        return 0

    return finish(work())


def _in_force(found: "Sequence[Shown]", now: datetime) -> Mapping[Control, Sequence[str]]:
    """Return each switch that holds, with the places that say so."""
    said: dict[Control, list[str]] = {}
    for each in found:
        for control in each.controls:
            if control.in_force(now):
                said.setdefault(control, []).append(each.taken.place)
    return dict(sorted(said.items(), key=lambda item: (item[0].key_pattern, item[0].kind, item[0].at)))


def _print(found: "Sequence[Shown]", now: datetime) -> None:
    switches = _in_force(found, now)
    readable = [each.taken.place for each in found if not each.taken.trouble]
    for control, where in switches.items():
        click.secho(f"{control.key_pattern:<24} {_what(control)}", bold=True)
        until = f"until {stamp(control.until)}" if control.until else "until somebody ends it"
        click.echo(f"  since {stamp(control.at)}, {until}")
        click.echo(f"  by {control.by}: {control.why}")
        if len(where) < len(readable):
            click.secho(f"  written only to {', '.join(where)}; say it again to have it in both", fg="yellow")
    if not switches:
        click.echo("nothing is frozen or switched")
    for each in found:
        if each.taken.trouble:
            click.secho(f"{each.taken.place} could not be read: {each.taken.trouble}", fg="yellow", err=True)


def _what(control: Control) -> str:
    return "frozen: no sleeps" if control.kind is ControlKind.FREEZE else f"mode {control.mode}"


def _as_json(found: "Sequence[Shown]", now: datetime) -> Mapping[str, object]:
    return {
        "switches": [
            {
                "scope": control.key_pattern,
                "kind": control.kind,
                "mode": control.mode,
                "by": control.by,
                "why": control.why,
                "at": stamp(control.at),
                "until": stamp(control.until) if control.until else None,
                "writtenTo": list(where),
            }
            for control, where in _in_force(found, now).items()
        ],
        "unreadable": {each.taken.place: each.taken.trouble for each in found if each.taken.trouble},
    }
