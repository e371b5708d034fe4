"""`elasti run`: the program itself, on an existing Kafka, or with --dev on one that it starts."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

import click

from consumer.cli.options import AwayProblem, UsageProblem, finish, with_settings
from consumer.settings import ALL_ROLES, Role, Settings, SettingsError
from consumer.telemetry import configure_logging


def _roles(_: click.Context, __: click.Parameter, value: str) -> frozenset[Role]:
    names = [name.strip() for name in value.split(",") if name.strip()]
    try:
        roles = frozenset(Role(name) for name in names)
    except ValueError:
        known = ",".join(Role)
        raise click.BadParameter(f'"{value}" is not a list of roles; write one or more of {known}') from None
    if not roles:
        raise click.BadParameter(f"no role is named; write one or more of {','.join(Role)}")
    return roles


@click.command(
    epilog="\b\nExamples:\n"
    "  elasti run --dev --policies examples/policies\n"
    "  elasti run --kafka-bootstrap kafka:9092 --prometheus-address http://prometheus:9090 \\\n"
    "      --policies policies/ --cluster-access simulated\n"
    "  ELASTI_KAFKA_BOOTSTRAP=kafka:9092 elasti run --roles worker --policies policies/"
)
@click.option(
    "--roles",
    callback=_roles,
    default=",".join(role for role in Role if role in ALL_ROLES),
    show_default=True,
    help="What this process does, by commas.",
)
@click.option("--dev", is_flag=True, help="Start a Kafka and a SIMULATED cluster where none are named.")
@with_settings()
def command(settings: Settings, roles: frozenset[Role], *, dev: bool) -> int:
    """Run worker, handler and gateway until SIGTERM or Ctrl-C.

    Without --dev it refuses to start when no Kafka or no cluster is named, and says which setting is missing.
    """
    configure_logging(settings.log_format, settings.log_level)
    return finish(_run(settings, roles, dev=dev))


async def _run(settings: Settings, roles: frozenset[Role], *, dev: bool) -> int:
    # Loaded here: `elasti run --help` must not wait for the clients of Kafka and Prometheus.
    from consumer.app.stacks import stacks_on_signal  # noqa: PLC0415
    from consumer.app.stopping import stop_on_signals, unless_stopped  # noqa: PLC0415

    stopping, begun = asyncio.Event(), asyncio.Event()
    with stop_on_signals(stopping), stacks_on_signal():
        done = await unless_stopped(
            _serve(settings, roles, _Signs(stopping, begun), dev=dev), stopping=stopping, begun=begun
        )
    if done is None:
        raise click.Abort
    return done


@dataclass(frozen=True, slots=True)
class _Signs:
    """What tells the program to stop, and what tells that it has begun."""

    stopping: asyncio.Event
    begun: asyncio.Event


async def _serve(settings: Settings, roles: frozenset[Role], signs: _Signs, *, dev: bool) -> int:
    from consumer.app.running import Assignment, Started, run  # noqa: PLC0415

    def started(up: Started) -> None:
        signs.begun.set()
        if up.away:
            click.echo(
                f"Kafka is away: {up.away}\n"
                "Until it is there requests wake directly, where this process has a handler or a handler URL; "
                "nothing is decided, and nothing put to sleep.",
                err=True,
            )
        click.echo(
            f"elasti runs {', '.join(sorted(roles))}; http://127.0.0.1:{up.port}/readyz tells how it is", err=True
        )

    async with AsyncExitStack() as stack:
        if dev:
            settings = await _with_dev(settings, stack)
        try:
            await run(Assignment(settings, roles), stopping=signs.stopping, started=started)
        except SettingsError as missing:
            raise UsageProblem(f"{missing}\n(or try it with --dev, which starts what is missing)") from None
        except OSError as error:
            raise AwayProblem(
                f"port {settings.http_port} can not be had ({error}); choose another by --http-port"
            ) from error
    return 0


async def _with_dev(settings: Settings, stack: AsyncExitStack) -> Settings:
    from consumer.app.dev import embedded  # noqa: PLC0415

    return await stack.enter_async_context(embedded(settings, say=lambda line: click.echo(line, err=True)))
