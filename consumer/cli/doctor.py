"""`elasti doctor`: everything that an installation stands on, what is wrong with it, and the cure of each."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click
import orjson

from consumer.cli.options import CLUSTER, KAFKA, UsageProblem, finish, places, with_settings
from consumer.insight.acls import Part
from consumer.insight.doctor import Finding, Severity
from consumer.insight.rights import HANDLER, OPERATOR, POLICIES, WORKER
from consumer.ports import Right
from consumer.settings import ClusterAccess, Settings
from consumer.telemetry import configure_logging

if TYPE_CHECKING:
    from consumer.app.examining import Examined

_ROLES: Mapping[Part, Sequence[Right]] = {
    Part.WORKER: WORKER,
    Part.HANDLER: HANDLER,
    Part.GATEWAY: POLICIES,
    Part.OPERATOR: OPERATOR,
    Part.AUDITOR: (),
    Part.RESOLVER: (),
    Part.SETUP: (),
}
"""What each needs of a cluster; whoever only speaks to Kafka needs nothing."""
_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.HINT: "cyan"}
_WIDTH = 80


@click.command(
    epilog="\b\nExamples:\n  elasti doctor --cluster-access kubeconfig\n"
    "  kubectl -n elasti exec deploy/elasti-handler -- elasti doctor\n"
    "  elasti doctor --output json | jq -r '.findings[].cure'"
)
@click.option(
    "--rights",
    "role",
    type=click.Choice(sorted(part.value for part in _ROLES)),
    help="Whose rights and ACLs you should have.  [default: handler in a pod, operator elsewhere]",
)
@click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How it is told."
)
@with_settings((*KAFKA, *CLUSTER, "beside_kubeelasti", "prometheus_address", "mode"))
def command(settings: Settings, role: str | None, output: str) -> int:
    """Look at Kafka, its ACLs, Kubernetes, Prometheus, clocks and policies, and say what is wrong and how to cure it.

    It changes nothing, but for a record without effect that tells Kafka's time. Exit code 0: all is well, or hints
    only; 1: there are errors or warnings; 2: neither Kafka nor a cluster is named.
    """
    # What is found is told once, as a finding; not beside it as a log line.
    configure_logging("console", "error")
    # Loaded here: `--help` must not wait for the clients of Kafka and Kubernetes.
    from consumer.app.examining import Examination  # noqa: PLC0415

    who = Part(role) if role else Part.HANDLER if settings.cluster_access is ClusterAccess.IN_CLUSTER else Part.OPERATOR
    where = places()

    async def work() -> int:
        examined = await Examination(where, settings, _ROLES[who], who).carried_out()
        if not examined.looked:
            raise UsageProblem("\n".join(examined.unnamed))
        if output == "json":
            click.echo(orjson.dumps(_as_json(examined), option=orjson.OPT_INDENT_2))
        else:
            _print(examined)
        return 1 if any(one.severity is not Severity.HINT for one in examined.findings) else 0

    return finish(work())


def _print(examined: "Examined") -> None:
    for finding in examined.findings:
        click.secho(f"{finding.severity.upper():<8} {finding.subject}", fg=_COLOURS[finding.severity], bold=True)
        click.echo(_wrapped(finding.what, "  "))
        click.echo(_wrapped(finding.cure, "  → "))
    if examined.findings:
        click.echo()
    for unnamed in examined.unnamed:
        click.echo(_wrapped(unnamed, "not looked at: "))
    found = {severity: sum(one.severity is severity for one in examined.findings) for severity in Severity}
    counts = [f"{count} {severity}{'' if count == 1 else 's'}" for severity, count in found.items()]
    click.echo(_wrapped(", ".join(examined.looked), "looked at: "))
    click.secho(", ".join(counts), bold=True)


def _wrapped(text: str, lead: str) -> str:
    behind = " " * len(lead)
    return textwrap.fill(
        text, _WIDTH, initial_indent=lead, subsequent_indent=behind, break_long_words=False, break_on_hyphens=False
    )


def _as_json(examined: "Examined") -> Mapping[str, object]:
    return {
        "findings": [_finding(one) for one in examined.findings],
        "lookedAt": list(examined.looked),
        "notLookedAt": list(examined.unnamed),
    }


def _finding(one: Finding) -> Mapping[str, object]:
    return {"severity": one.severity, "subject": one.subject, "what": one.what, "cure": one.cure}
