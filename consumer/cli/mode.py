"""`elasti mode`: how much is carried out, the rungs of the ladder from watching to doing."""

from datetime import datetime, timedelta

import click

from consumer.cli.options import CLUSTER, KAFKA, scope_of, with_settings
from consumer.cli.switching import author, carry_out, ends, length, moment, now, who_and_what
from consumer.core.control import Control, ControlKind
from consumer.core.reasons import stamp
from consumer.core.service import Mode
from consumer.settings import Settings

_MEANING = {
    Mode.OBSERVE: "everything is decided and logged, nothing carried out",
    Mode.WAKE_ONLY: "it is woken, but never put to sleep",
    Mode.FULL: "it sleeps and wakes",
}


@click.command(
    epilog="\b\nExamples:\n"
    '  elasti mode observe --why "first week"\n'
    '  elasti mode wake-only -n shop --why "second week"\n'
    '  elasti mode full shop/web --why "elasti diff showed no false sleep"'
)
@click.argument("mode", type=click.Choice([mode.value for mode in (Mode.OBSERVE, Mode.WAKE_ONLY, Mode.FULL)]))
@click.option("--until", metavar="TIME", callback=moment, help="Ends by itself then (UTC where no zone is given).")
@click.option("--for", "lasting", metavar="DURATION", callback=length, help="Ends by itself after this long, as in 2h.")
@who_and_what
@with_settings((*KAFKA, *CLUSTER))
def command(settings: Settings, service: str | None, **given: object) -> int:
    """Set the mode of everything, a namespace, or one service.

    The strictest of all that apply wins: the setting `mode`, the policy's own, and what is switched for everything,
    the namespace and the service. `full` for a service lifts no stricter mode of its namespace.
    """
    scope, mode = scope_of(service, _text(given["of"])), Mode(str(given["mode"]))
    until, lasting = given["until"], given["lasting"]
    end = ends(
        until if isinstance(until, datetime) else None,
        lasting if isinstance(lasting, timedelta) else None,
    )
    by = author(_text(given["by"]))
    control = Control(scope, ControlKind.MODE, mode, by, str(given["why"]), end, now())
    until_when = f" until {stamp(end)}" if end else ""
    return carry_out(settings, control, f"mode of {scope} is {mode}{until_when}: {_MEANING[mode]}")


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
