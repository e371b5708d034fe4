"""`elasti check`: what is wrong with policies, and what each valid one would do."""

from collections.abc import Mapping
from pathlib import Path

import click
import orjson

from consumer.adapters.policy_files import PolicyFiles
from consumer.cli.options import UsageProblem, finish, with_settings
from consumer.core.answers import Answer, Answers, No, Unknown, Yes
from consumer.core.policy import Policy
from consumer.core.service import ServiceKey
from consumer.insight.intent import intent
from consumer.ports import Subject
from consumer.settings import Settings
from consumer.telemetry import configure_logging


@click.command(
    epilog="\b\nExamples:\n  elasti check examples/policies\n  elasti check policies/shop.yaml --ask\n"
    "  elasti check policies/ --json | jq '.problems'"
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--ask", is_flag=True, help="Also ask every trigger now, and say what it answers.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_settings(("config", "prometheus_address"))
def command(settings: Settings, files: tuple[Path, ...], *, ask: bool, as_json: bool) -> int:
    """Validate ElastiService resources and their PromQL, and say what each would do.

    Exit code 1 when anything is wrong, or nothing is there; each fault is named with its file, line and field.
    """
    absent = [str(file) for file in files if not file.exists()]
    if absent:
        raise UsageProblem(
            f"there is no {', no '.join(absent)}; name files or directories with ElastiService resources"
        )
    with_files = settings.model_copy(update={"policies": files})
    return finish(_check(with_files, ask=ask, as_json=as_json))


async def _check(settings: Settings, *, ask: bool, as_json: bool) -> int:
    # Loaded here: `--help` must not wait for the client of Prometheus.
    from consumer.app.judging import policy_files  # noqa: PLC0415

    # What is wrong is printed once, as the answer; not beside it as a log line.
    configure_logging("console", "error")
    known = policy_files(settings, for_cluster=True)
    await known.read()
    valid = {key: entry.policy for key, entry in sorted(known.entries().items()) if entry.policy is not None}
    answers = await _asked(settings, valid) if ask else {}
    if as_json:
        click.echo(orjson.dumps(_as_json(known, valid, answers), option=orjson.OPT_INDENT_2))
    else:
        _print(known, valid, answers)
    # A check of nothing is no success: a wrong directory would pass for ever.
    return 1 if known.problems() or not valid else 0


async def _asked(settings: Settings, valid: Mapping[ServiceKey, Policy]) -> Mapping[ServiceKey, Answers]:
    from consumer.app.judging import judges, local_clock  # noqa: PLC0415

    now = local_clock().read().now
    async with judges(settings) as asked:
        return await asked.sweep([Subject(policy, None) for policy in valid.values()], now)


def _print(known: PolicyFiles, valid: Mapping[ServiceKey, Policy], answers: Mapping[ServiceKey, Answers]) -> None:
    for key, policy in valid.items():
        click.secho(str(key), bold=True)
        for sentence in intent(policy):
            click.echo(f"  {sentence}")
        for trigger in answers[key].triggers if key in answers else ():
            click.echo(f"  {trigger.name} now: {_told(trigger.to_zero)}")
    for notice in known.notices():
        click.echo(notice)
    for problem in known.problems():
        click.secho(str(problem), fg="red")
    if not (valid or known.problems()):
        click.secho("there is no ElastiService resource in them", fg="red")
    click.echo(f"valid: {len(valid)}, problems: {len(known.problems())}")


def _told(answer: Answer) -> str:
    match answer:
        case Yes(evidence=evidence):
            return f"idle ({evidence.value:g})"
        case No(evidence=evidence):
            return f"busy ({evidence.value:g})"
        case Unknown(cause=cause, detail=detail):
            return f"unknown, {cause}{': ' if detail else ''}{detail}"


def _as_json(
    known: PolicyFiles, valid: Mapping[ServiceKey, Policy], answers: Mapping[ServiceKey, Answers]
) -> Mapping[str, object]:
    return {
        "services": {
            str(key): {
                "does": intent(policy),
                "answers": {each.name: _told(each.to_zero) for each in answers[key].triggers} if key in answers else {},
            }
            for key, policy in valid.items()
        },
        "problems": [
            {"where": problem.where, "field": problem.field, "message": problem.message} for problem in known.problems()
        ],
    }
