"""`elasti restore`: everything back as it was, without Kafka and without any running part of ours."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import click

from consumer.cli.options import (
    CLUSTER,
    UsageProblem,
    finish,
    person,
    places,
    scope_of,
    with_settings,
)
from consumer.core.control import Control, ControlKind
from consumer.ports import Holding, TargetError
from consumer.settings import Settings

if TYPE_CHECKING:
    from consumer.app.places import ClusterPlace, Places
    from consumer.app.restoring import Restored, Way

_WHY: Final = "elasti restore gave everything back"
_TAKEN_BACK_WITHIN: Final = tuple(timedelta(milliseconds=250) * 2**attempt for attempt in range(4))
"""A handler that runs sees by its watch that its finalizer is gone, and puts it on again: some moments after we let go.
After each of these waits it is looked whether it has; 3.75 s in all.
"""


@click.command(
    epilog="\b\nExamples:\n  elasti restore --all --dry-run --cluster-access kubeconfig\n"
    "  elasti restore --all\n  elasti restore -n shop\n  elasti restore shop/web\n\n"
    "\b\nTo leave for good (docs/howto-leave.md):\n"
    "  elasti restore --all; then stop the installation; elasti restore --all; then delete it"
)
@click.argument("service", metavar="[NAMESPACE/NAME]", required=False)
@click.option("-n", "--namespace", "of", metavar="NAMESPACE", help="All of this namespace.")
@click.option("--all", "everything", is_flag=True, help="All of the cluster.")
@click.option("--also-others", is_flag=True, help="Raise also what somebody else scaled to zero.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@with_settings((*CLUSTER, "beside_kubeelasti", "cluster"))
def command(settings: Settings, service: str | None, of: str | None, *, everything: bool, **way: bool) -> int:
    """Give targets back what they had: replicas, KEDA un-paused, our finalizers gone.

    A target that somebody else scaled to zero stays there, and is named; a zero that nobody is named for counts as
    ours. Sleeps are frozen first, so that a running installation does not put them back. It needs no Kafka, and can be
    stopped and run again at any time. Exit code 1 when something is left to do.
    """
    if everything == bool(service or of):
        raise UsageProblem("say what is to be given back: --all, -n NAMESPACE, or NAMESPACE/NAME")
    scope, where = scope_of(service, of), places()
    # The service of a resource may have another name than the resource: the whole namespace is frozen, to be sure.
    frozen = "*" if everything else f"{scope.partition('/')[0]}/*"

    async def work() -> int:
        # Loaded here: `--help` must not wait for the client of Kubernetes.
        from consumer.app.places import UnnamedError  # noqa: PLC0415
        from consumer.app.restoring import Way, chosen  # noqa: PLC0415

        chosen_way = Way(rehearsal=way["dry_run"], also_others=way["also_others"])
        try:
            async with where.cluster(settings) as cluster:
                if not chosen_way.rehearsal:
                    await _freeze(cluster, frozen, where)
                holdings = chosen(await cluster.survey.holdings(), scope)
                return await _restored(where, cluster, holdings, chosen_way)
        except UnnamedError as unnamed:
            raise UsageProblem(str(unnamed)) from None

    return finish(work())


async def _freeze(cluster: "ClusterPlace", scope: str, where: "Places") -> None:
    now = where.clock.read().now
    try:
        await cluster.switches.apply([Control(scope, ControlKind.FREEZE, None, person(), _WHY, None, now)])
    except TargetError as error:
        click.secho(
            f"sleeps could not be frozen: {error}\nAn installation that still runs may put services to sleep again.",
            fg="yellow",
            err=True,
        )
        return
    undo = "" if scope == "*" else f" -n {scope.partition('/')[0]}"
    click.echo(f"sleeps of {scope} are frozen; later: elasti unfreeze{undo} --why ...")


async def _restored(where: "Places", cluster: "ClusterPlace", holdings: Sequence[Holding], way: "Way") -> int:
    from consumer.app.restoring import restore  # noqa: PLC0415 - as above

    count = len(str(len(holdings)))
    through = 0

    def told(one: "Restored") -> None:
        nonlocal through
        through += 1
        click.echo(f"[{through:>{count}}/{len(holdings)}] {one.holding.resource}: {'; '.join(one.did) or 'as it was'}")
        for why in one.left:
            click.secho(f"{'':{2 * count + 4}}LEFT: {why}", fg="red")

    done = await restore(cluster, holdings, where.clock, told, way)
    left = [one for one in done if one.left]
    again, unseen = ([], None) if way.rehearsal else await _held_again(where, cluster, done)
    if unseen is not None:
        why = f"whether a handler took it again could not be seen: {unseen}; run this once more"
        click.secho(why, fg="yellow")
    for resource in again:
        click.secho(f"{resource}: our finalizer is on it again, by a handler that runs", fg="yellow")
    if again:
        click.echo("Stop the installation, then run this once more; nothing is asleep meanwhile.")
    if kept := sum(one.kept_at_zero for one in done):
        click.echo(f"{kept} left at 0 as somebody else scaled them; --also-others raises them, too.")
    woken = sum(one.woken for one in done)
    would = "would be " if way.rehearsal else ""
    click.secho(
        f"{len(done)} ElastiServices: {woken} {would}woken, {len(left)} left to do, {len(again)} held again", bold=True
    )
    return 1 if left or again or unseen else 0


async def _held_again(
    where: "Places", cluster: "ClusterPlace", done: "Sequence[Restored]"
) -> tuple[Sequence[str], TargetError | None]:
    """Return what has our finalizer again, and why that could not be seen where it could not.

    Whether a handler runs shows only when it had the time to put it there.
    """
    ours = {one.holding.resource for one in done if one.holding.held and not one.left}
    again: list[str] = []
    unseen: TargetError | None = None
    for wait in _TAKEN_BACK_WITHIN if ours else ():
        await where.clock.sleep(wait)
        try:
            shown = [now for now in await cluster.survey.holdings() if now.resource in ours]
        except TargetError as error:
            unseen = error
            continue
        again, unseen = [str(now.resource) for now in shown if now.held], None
        if len(again) == len(shown):
            break
    return again, unseen
