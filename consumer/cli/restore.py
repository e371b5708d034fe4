"""`elasti restore`: everything back as it was, without Kafka and without any running part of ours."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

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
    from consumer.app.restoring import Restored

_WHY = "elasti restore gave everything back"


@click.command(
    epilog="\b\nExamples:\n  elasti restore --all --dry-run --cluster-access kubeconfig\n"
    "  elasti restore --all\n  elasti restore -n shop\n  elasti restore shop/web\n\n"
    "\b\nTo leave for good (docs/howto-leave.md):\n"
    "  elasti restore --all; then stop the installation; elasti restore --all; then delete it"
)
@click.argument("service", metavar="[NAMESPACE/NAME]", required=False)
@click.option("-n", "--namespace", "of", metavar="NAMESPACE", help="All of this namespace.")
@click.option("--all", "everything", is_flag=True, help="All of the cluster.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and change nothing.")
@with_settings((*CLUSTER, "beside_kubeelasti", "cluster"))
def command(settings: Settings, service: str | None, of: str | None, *, everything: bool, dry_run: bool) -> int:
    """Give targets back what they had: replicas, KEDA un-paused, our finalizers gone.

    Sleeps are frozen first, so that a running installation does not put them back. It needs no Kafka, and can be
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
        from consumer.app.restoring import chosen  # noqa: PLC0415

        try:
            async with where.cluster(settings) as cluster:
                if not dry_run:
                    await _freeze(cluster, frozen, where)
                holdings = chosen(await cluster.survey.holdings(), scope)
                return await _restored(where, cluster, holdings, rehearsal=dry_run)
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


async def _restored(where: "Places", cluster: "ClusterPlace", holdings: Sequence[Holding], *, rehearsal: bool) -> int:
    from consumer.app.restoring import restore  # noqa: PLC0415 - as above

    count = len(str(len(holdings)))
    through = 0

    def told(one: "Restored") -> None:
        nonlocal through
        through += 1
        click.echo(f"[{through:>{count}}/{len(holdings)}] {one.holding.resource}: {'; '.join(one.did) or 'as it was'}")
        for why in one.left:
            click.secho(f"{'':{2 * count + 4}}LEFT: {why}", fg="red")

    done = await restore(cluster, holdings, where.clock, told, rehearsal=rehearsal)
    left = [one for one in done if one.left]
    again = [] if rehearsal else await _held_again(cluster, done)
    for resource in again:
        click.secho(f"{resource}: our finalizer is on it again, by a handler that runs", fg="yellow")
    if again:
        click.echo("Stop the installation, then run this once more; nothing is asleep meanwhile.")
    woken = sum(one.woken for one in done)
    would = "would be " if rehearsal else ""
    click.secho(
        f"{len(done)} ElastiServices: {woken} {would}woken, {len(left)} left to do, {len(again)} held again", bold=True
    )
    return 1 if left or again else 0


async def _held_again(cluster: "ClusterPlace", done: "Sequence[Restored]") -> Sequence[str]:
    ours = {one.holding.resource for one in done if one.holding.held and not one.left}
    if not ours:
        return []
    return [str(now.resource) for now in await cluster.survey.holdings() if now.held and now.resource in ours]
