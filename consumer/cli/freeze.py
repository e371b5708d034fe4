"""`elasti freeze`: no sleeps until further notice; wakes go on."""

from datetime import datetime, timedelta

import click

from consumer.cli.options import CLUSTER, KAFKA, scope_of, with_settings
from consumer.cli.switching import author, carry_out, ends, length, moment, now, who_and_what
from consumer.core.control import Control, ControlKind
from consumer.core.reasons import stamp
from consumer.settings import Settings


@click.command(
    epilog="\b\nExamples:\n"
    '  elasti freeze --why "checkout is slow, looking"\n'
    '  elasti freeze -n shop --for 2h --why "sale"\n'
    '  elasti freeze shop/web --until 2026-01-31T18:00:00Z --why "demo"\n\n'
    "\b\nWithout elasti at hand (whatever the text is, it freezes everything):\n"
    '  kubectl -n elasti create configmap elasti-switches --from-literal=freeze="maria: sale"'
)
@click.option("--until", metavar="TIME", callback=moment, help="Ends by itself then (UTC where no zone is given).")
@click.option("--for", "lasting", metavar="DURATION", callback=length, help="Ends by itself after this long, as in 2h.")
@who_and_what
@with_settings((*KAFKA, *CLUSTER))
def command(
    settings: Settings, service: str | None, until: datetime | None, lasting: timedelta | None, **given: str | None
) -> int:
    """Put nothing to sleep any more: everything, a namespace, or one service. Wakes go on.

    It is written to Kafka and to the cluster; either is enough, so it works while one of them is away. Exit code 0
    when at least one took it.
    """
    scope, end = scope_of(service, given["of"]), ends(until, lasting)
    control = Control(scope, ControlKind.FREEZE, None, author(given["by"]), given["why"] or "", end, now())
    until_when = f"until {stamp(end)}" if end else "until `elasti unfreeze`"
    return carry_out(settings, control, f"sleeps of {scope} are frozen {until_when}; wakes go on")
