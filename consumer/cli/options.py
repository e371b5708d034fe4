"""Options that come from the settings, so that no setting, default or explanation is written twice."""

import asyncio
import functools
import getpass
import os
import re
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from consumer.children import NoPlaceError
from consumer.core.service import ServiceKey
from consumer.errors import first_error
from consumer.ports import LogError, TargetError
from consumer.settings import Settings, SettingsError, environment_name, flag_name, load

if TYPE_CHECKING:
    from consumer.app.places import Places

KAFKA = (
    "config",
    "kafka_bootstrap",
    "kafka_security_protocol",
    "kafka_sasl_mechanism",
    "kafka_sasl_username",
    "kafka_tls_ca",
    "kafka_tls_cert",
    "kafka_tls_key",
    "topic_prefix",
    "tenants",
    "cluster",
)
"""What every command that talks to Kafka takes; the password comes from the environment or the file only."""

CLUSTER = ("cluster_access", "kubeconfig", "kube_context", "namespace", "watch_namespaces")
"""What every command that talks to Kubernetes takes."""

HIDDEN = frozenset({"notices", "kafka_sasl_password", "prometheus_authorization"})
"""Never flags: the list of running processes shows everybody's flags."""

NOBODY_READS = 141
"""The exit code of a program whose output is not read to its end, as shells have it."""

Command = TypeVar("Command", bound=Callable[..., Any])
Result = TypeVar("Result")


class UsageProblem(click.ClickException):
    """Wrong words or settings."""

    exit_code = 2


class AwayProblem(click.ClickException):
    """Something that is needed is away or failed."""

    exit_code = 3


def with_settings(names: Sequence[str] | None = None) -> Callable[[Command], Command]:
    """Add a flag for each of these settings (None: all) and pass the loaded settings as `settings`."""
    wanted = [name for name in (names or Settings.model_fields) if name not in HIDDEN]

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def loaded(**given: object) -> object:
            flags = {name: given.pop(name) for name in wanted}
            try:
                settings = load(flags)
            except SettingsError as error:
                raise UsageProblem(str(error)) from None
            return command(settings=settings, **given)

        wrapped: Any = loaded
        for name in reversed(wanted):
            wrapped = _option(name, of_services=names is not None)(wrapped)
        return wrapped  # type: ignore[no-any-return]  # a click command has the type of what it wraps

    return decorate


def _option(name: str, *, of_services: bool) -> Callable[[Any], Any]:
    explained = f"{Settings.model_fields[name].description} [env {environment_name(name)}]"
    return click.option(*_flags(name, of_services=of_services), name, metavar="VALUE", help=explained)


def _flags(name: str, *, of_services: bool) -> tuple[str, ...]:
    if name == "kafka_bootstrap":
        return flag_name(name), "--bootstrap"
    if name == "namespace" and of_services:
        # Where a command is about services, their namespace is what people mean by --namespace.
        return ("--installed-in",)
    return (flag_name(name),)


def places() -> "Places":
    """Return where commands take effect: what `main` was given, else what the settings name."""
    given: Places | None = click.get_current_context().obj
    if given is not None:
        return given
    # Loaded here: `--help` must not wait for the clients of Kafka and Kubernetes.
    from consumer.app.places import RealPlaces  # noqa: PLC0415

    return RealPlaces()


def scope_of(service: str | None, namespace: str | None) -> str:
    """Return the pattern that a service, a namespace, or neither stands for."""
    if service is not None and namespace is not None:
        raise UsageProblem(f"{service} names its namespace itself; leave -n {namespace} out")
    if namespace is not None:
        return f"{checked(namespace)}/*"
    if service is None:
        return "*"
    try:
        key = ServiceKey.parse(service)
    except ValueError as error:
        raise UsageProblem(str(error)) from None
    return f"{checked(key.namespace)}/{checked(key.name)}"


def checked(label: str) -> str:
    """Return a name that Kubernetes would take; a pattern of anything else would switch nothing, in silence."""
    if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", label):
        raise UsageProblem(f'"{label}" is no name in Kubernetes; write lower-case letters, digits and "-", like shop')
    return label


def person() -> str:
    """Return who is at the keyboard, as the system knows them."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        # A container whose user has no name.
        return f"user {os.getuid()}"


def needs_kafka(settings: Settings) -> None:
    """Refuse with the name of the setting when no Kafka is named."""
    if not settings.kafka_bootstrap:
        where = f"{environment_name('kafka_bootstrap')} or {flag_name('kafka_bootstrap')}"
        raise UsageProblem(f"no Kafka is named: set {where}, for example to kafka-1:9092")


def finish(work: Coroutine[Any, Any, int | None]) -> int:
    """Run a command's coroutine to its end and return its exit code."""
    return finish_with(work) or 0


def finish_with(work: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end and return what it returns; Ctrl-C ends it cleanly, a log that is away is said."""
    try:
        return asyncio.run(_unwrapped(work))
    except (LogError, TargetError, NoPlaceError) as error:
        raise AwayProblem(str(error)) from None
    except BrokenPipeError:
        # As in `elasti tail results | head`: what is left of the output has nowhere to go, also at the very end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(NOBODY_READS) from None
    except KeyboardInterrupt:
        raise click.Abort from None


async def _unwrapped(work: Coroutine[Any, Any, Result]) -> Result:
    """A group of errors says nothing to people: what is behind it does."""
    try:
        return await work
    except BaseExceptionGroup as group:
        raise first_error(group) from group
