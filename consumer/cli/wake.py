"""`elasti wake`: one service, some, or a whole fleet, at a pace that a cluster can bear."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from consumer.cli.options import CLUSTER, KAFKA, UsageProblem, checked, finish, person, places, with_settings
from consumer.cli.switching import length
from consumer.core.reasons import span
from consumer.core.service import ServiceKey
from consumer.ports import LogError, TargetKey
from consumer.settings import Settings

if TYPE_CHECKING:
    from consumer.app.places import LogPlace, Places
    from consumer.app.waking import Woken

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_NO_WAIT = timedelta()


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is to be woken, how fast, and how long it is waited for."""

    keys: tuple[ServiceKey, ...]
    namespace: str | None
    interval: timedelta
    patience: timedelta

    def chosen(self, known: Sequence[ServiceKey]) -> Sequence[ServiceKey]:
        """Return what is to be woken of what there is."""
        if self.keys:
            return self.keys
        return sorted(key for key in known if self.namespace in (None, key.namespace))


def _rate(_: click.Context, __: click.Parameter, value: str) -> timedelta:
    match re.fullmatch(r"(\d+(?:\.\d+)?)/([smh])", value):
        case None:
            raise click.BadParameter(f'"{value}" is no rate; write wakes per time, like 5/s or 30/m')
        case found if float(found[1]) <= 0:
            raise click.BadParameter("must be above zero, like 5/s")
        case found:
            return timedelta(seconds=_UNITS[found[2]] / float(found[1]))


@click.command(
    epilog="\b\nExamples:\n  elasti wake shop/web shop/cart\n  elasti wake -n shop --rate 5/s --wait 2m\n"
    "  elasti wake --all --rate 2/s --direct --cluster-access kubeconfig"
)
@click.argument("services", metavar="[NAMESPACE/SERVICE]...", nargs=-1)
@click.option("-n", "--namespace", "of", metavar="NAMESPACE", help="All services of this namespace.")
@click.option("--all", "everything", is_flag=True, help="All services.")
@click.option("--rate", callback=_rate, default="10/s", show_default=True, help="At most so many wakes per time.")
@click.option("--wait", "patience", metavar="DURATION", callback=length, help="Wait so long until they are ready.")
@click.option("--direct", is_flag=True, help="Not through Kafka: change the targets right here.")
@with_settings((*KAFKA, *CLUSTER))
def command(settings: Settings, services: tuple[str, ...], *, everything: bool, direct: bool, **given: object) -> int:
    """Wake services now, as a request for each would.

    Through Kafka, so that `elasti explain` tells of it later; directly in the cluster with --direct, or when Kafka is
    away and a cluster is named. Exit code 1 when one failed or was not ready in time.
    """
    of, interval, patience = given["of"], given["rate"], given["patience"]
    namespace = checked(of) if isinstance(of, str) else None
    if sum((bool(services), namespace is not None, everything)) != 1:
        raise UsageProblem("say what is to be woken: NAMESPACE/SERVICE..., -n NAMESPACE, or --all")
    wish = _Wish(
        keys=tuple(dict.fromkeys(_key(text) for text in services)),
        namespace=namespace,
        interval=interval if isinstance(interval, timedelta) else _NO_WAIT,
        patience=patience if isinstance(patience, timedelta) else _NO_WAIT,
    )
    return finish(_wake(settings, wish, direct=direct))


def _key(text: str) -> ServiceKey:
    try:
        key = ServiceKey.parse(text)
    except ValueError as error:
        raise UsageProblem(str(error)) from None
    return ServiceKey(checked(key.namespace), checked(key.name))


async def _wake(settings: Settings, wish: _Wish, *, direct: bool) -> int:
    # Loaded here: `--help` must not wait for the clients of Kafka and Kubernetes.
    from consumer.app.places import UnnamedError  # noqa: PLC0415

    where = places()
    try:
        if direct:
            return await _directly(where, settings, wish)
        try:
            async with where.log(settings) as log:
                return await _by_log(where, log, wish)
        except LogError as away:
            click.secho(f"Kafka is away: {away}\nWaking directly instead.", fg="yellow", err=True)
            return await _directly(where, settings, wish)
    except UnnamedError as unnamed:
        raise UsageProblem(str(unnamed)) from None


async def _by_log(where: "Places", log: "LogPlace", wish: _Wish) -> int:
    from consumer.app.waking import by_log, paced, ready_by_log, statuses, until_ready  # noqa: PLC0415 - as above

    keys = wish.chosen([*await statuses(log)] if not wish.keys else ())
    woken = await paced(
        keys, by_log(log, person()), where.clock, interval=wish.interval, told=_Progress(len(keys)).told
    )
    if wish.patience:
        click.echo(f"waiting up to {span(wish.patience)} until they are ready")
        woken = await until_ready(woken, ready_by_log(log), where.clock, patience=wish.patience)
    return _summary(woken, waited=bool(wish.patience))


async def _directly(where: "Places", settings: Settings, wish: _Wish) -> int:
    from consumer.app.waking import by_hand, paced, ready_in_cluster, until_ready  # noqa: PLC0415 - as above

    async with where.cluster(settings) as cluster:
        holdings = {
            ServiceKey(one.resource.namespace, one.service): one
            for one in await cluster.survey.holdings()
            if one.service is not None
        }
        keys = wish.chosen([*holdings])
        progress = _Progress(len(keys))
        woken = await paced(keys, by_hand(cluster, holdings), where.clock, interval=wish.interval, told=progress.told)
        if wish.patience:
            click.echo(f"waiting up to {span(wish.patience)} until they are ready")
            targets: Mapping[ServiceKey, TargetKey] = {
                key: target for key in keys if key in holdings and (target := holdings[key].target) is not None
            }
            ready = ready_in_cluster(cluster, targets)
            woken = await until_ready(woken, ready, where.clock, patience=wish.patience)
    return _summary(woken, waited=bool(wish.patience))


class _Progress:
    """One line for each service, counted."""

    def __init__(self, whole: int) -> None:
        self._whole = whole
        self._through = 0

    def told(self, one: "Woken") -> None:
        """Say what came of it."""
        self._through += 1
        width = len(str(self._whole))
        failed = one.standing == "failed"
        text = f"[{self._through:>{width}}/{self._whole}] {one.key!s:<32} {one.standing:<13} {one.detail}"
        click.secho(text.rstrip(), fg="red" if failed else None)


def _summary(woken: "Sequence[Woken]", *, waited: bool) -> int:
    counts: dict[str, int] = {}
    for one in woken:
        counts[one.standing] = counts.get(one.standing, 0) + 1
        if waited and one.standing not in ("ready", "failed"):
            click.secho(f"{one.key}: {one.standing}; see elasti explain {one.key}", fg="red")
    said = ", ".join(f"{count} {standing}" for standing, count in counts.items())
    click.secho(said or "there is no service to be woken", bold=True)
    return 1 if not woken or any(one.standing in ("failed", "not ready in time") for one in woken) else 0
