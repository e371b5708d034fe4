"""`elasti unfreeze`: services may sleep again."""

import click

from consumer.cli.options import CLUSTER, KAFKA, scope_of, with_settings
from consumer.cli.switching import author, carry_out, now, who_and_what
from consumer.core.control import Control, ControlKind
from consumer.settings import Settings


@click.command(
    epilog='\b\nExamples:\n  elasti unfreeze --why "all is well"\n  elasti unfreeze -n shop --why "sale is over"'
)
@who_and_what
@with_settings((*KAFKA, *CLUSTER))
def command(settings: Settings, service: str | None, **given: str | None) -> int:
    """Take a freeze back; name what was frozen: everything, a namespace, or one service.

    A freeze holds as long as Kafka or the cluster says so: both have to take it. A wider freeze stays in force.
    """
    scope = scope_of(service, given["of"])
    control = Control(scope, ControlKind.UNFREEZE, None, author(given["by"]), given["why"] or "", None, now())
    return carry_out(settings, control, f"the freeze of {scope} is taken back")
