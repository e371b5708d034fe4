"""What freeze, unfreeze and mode share: one change, told to every place, and what came of it."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from consumer.cli.options import AwayProblem, UsageProblem, finish, person, places
from consumer.core.control import Control
from consumer.core.schedule import InvalidDuration, parse_go_duration
from consumer.settings import Settings

if TYPE_CHECKING:
    from consumer.app.switching import Taken


def length(_: click.Context, __: click.Parameter, value: str | None) -> timedelta | None:
    """Read a length of time above zero."""
    if value is None:
        return None
    try:
        read = parse_go_duration(value)
    except InvalidDuration as error:
        raise click.BadParameter(str(error)) from None
    if read <= timedelta():
        raise click.BadParameter("must be above zero, like 2h")
    return read


def moment(_: click.Context, __: click.Parameter, value: str | None) -> datetime | None:
    """Read a moment; UTC where it names no zone."""
    if value is None:
        return None
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f'"{value}" is not a time; write it like 2026-01-31T09:30:00Z') from None
    aware = read.replace(tzinfo=UTC) if read.tzinfo is None else read.astimezone(UTC)
    return aware.replace(microsecond=aware.microsecond // 1000 * 1000)


def who_and_what(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add what every switch takes: its scope, its author and its reason."""
    options = (
        click.argument("service", metavar="[NAMESPACE/SERVICE]", required=False),
        click.option("-n", "--namespace", "of", metavar="NAMESPACE", help="All services of this namespace."),
        click.option("--why", required=True, help="Why; everyone who asks is shown it."),
        click.option("--by", default=None, help="Who says so.  [default: you, as the system knows you]"),
    )
    for option in reversed(options):
        command = option(command)
    return command


def author(by: str | None) -> str:
    """Return who is to be shown."""
    return by or person()


def now() -> datetime:
    """Return the present time."""
    return places().clock.read().now


def ends(until: datetime | None, lasting: timedelta | None) -> datetime | None:
    """Return when a switch ends by itself; None: when somebody ends it."""
    if until is not None and lasting is not None:
        raise UsageProblem("--until and --for say the same in two ways; give one of them")
    end = now() + lasting if lasting is not None else until
    if end is not None and end <= now():
        raise UsageProblem(f"--until {end.isoformat()} is over already; give a time to come")
    return end


def carry_out(settings: Settings, control: Control, said: str) -> int:
    """Tell every place; 0 when at least one took it."""
    # Loaded here: `--help` must not wait for the clients of Kafka and Kubernetes.
    from consumer.app.switching import switch  # noqa: PLC0415

    where = places()

    async def work() -> int:
        taken = await switch(where, settings, [control])
        report(taken, said)
        return 0

    return finish(work())


def report(taken: "Sequence[Taken]", said: str) -> None:
    """Say which place took it, and what keeps the others; raises AwayProblem when none did."""
    took = [each for each in taken if not each.trouble]
    if not took:
        lines = [f"{each.place}: {each.trouble}" for each in taken]
        raise AwayProblem("nothing was changed, no place could be reached:\n  " + "\n  ".join(lines))
    click.secho(said, bold=True)
    for each in taken:
        if not each.trouble:
            click.echo(f"  written to {each.place}")
        else:
            word = "NOT written to" if each.named else "not written to"
            click.secho(f"  {word} {each.place}: {each.trouble}", fg="yellow" if each.named else None, err=True)
    if any(each.trouble and each.named for each in taken):
        click.secho("  It is in effect through the other; say it again when both are there.", fg="yellow", err=True)
