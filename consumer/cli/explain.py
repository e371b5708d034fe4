"""`elasti explain`: the answer first, then the rules, then what happened, then what would wake it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import click
import orjson

from consumer.cli.options import KAFKA, UsageProblem, finish, needs_kafka, with_settings
from consumer.core.answers import Answers
from consumer.core.explain import RuleView
from consumer.core.policy import Policy
from consumer.core.reasons import Code, span, stamp
from consumer.core.sentences import sentence
from consumer.core.service import Mode, ServiceKey
from consumer.insight.explain import Explanation, Link, explain
from consumer.insight.story import Library, Story
from consumer.ports import Subject
from consumer.settings import Settings
from schemas.partitioning import partition_for


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is to be explained, and how."""

    key: ServiceKey
    at: datetime | None
    ask: bool
    last: int


def _moment(_: click.Context, __: click.Parameter, value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f'"{value}" is not a time; write it like 2026-01-31T09:30:00Z') from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@click.command(
    epilog="\b\nExamples:\n  elasti explain shop/web\n  elasti explain shop/web --at 2026-01-31T03:00:00Z\n"
    "  elasti explain shop/web --json | jq .answer"
)
@click.argument("service", metavar="NAMESPACE/SERVICE")
@click.option("--at", metavar="TIME", callback=_moment, help="Explain how it was then (UTC where no zone is given).")
@click.option("--no-ask", is_flag=True, help="Judge by the logged answers; do not ask Prometheus now.")
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, help="How many events to show.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_settings((*KAFKA, "prometheus_address"))
def command(settings: Settings, service: str, *, as_json: bool, **given: object) -> int:
    """Say why a service is as it is now, or was at a time, and why it changed before.

    Exit code 1 when nothing is known of it.
    """
    needs_kafka(settings)
    try:
        key = ServiceKey.parse(service)
    except ValueError as error:
        raise UsageProblem(str(error)) from None
    at, last = given["at"], given["last"]
    wish = _Wish(
        key, at if isinstance(at, datetime) else None, not given["no_ask"], last if isinstance(last, int) else 20
    )
    return finish(_explain(settings, wish, _print_json if as_json else _print))


async def _explain(settings: Settings, wish: _Wish, show: Callable[[Explanation, int], None]) -> int:
    # Loaded here: `--help` must not wait for Kafka's client.
    from consumer.app import log  # noqa: PLC0415
    from consumer.app.judging import local_clock  # noqa: PLC0415

    partitions = await log.partitions_of(settings)
    library = Library(
        log.reader(settings),
        settings.topic_prefix,
        lambda key: partition_for(key.namespace, key.name, partitions),
    )
    story = await library.story(wish.key)
    now = wish.at or local_clock().read().now
    if wish.at is not None:
        story = story.until(wish.at)
    policy = story.policy()
    answers = await _asked(settings, story, policy, now) if policy and wish.ask and wish.at is None else None
    show(explain(story, policy, answers, now), wish.last)
    return 0 if story.state is not None or story.decisions else 1


async def _asked(settings: Settings, story: Story, policy: Policy, now: datetime) -> Answers | None:
    """Ask the triggers now; what the log remembers serves for those whose headers only the worker has."""
    from consumer.app.judging import judges  # noqa: PLC0415

    window = story.state.window if story.state else None
    async with judges(settings) as asked:
        return (await asked.sweep([Subject(policy, window)], now)).get(policy.key)


def _print(told: Explanation, last: int) -> None:
    click.secho(told.answer, bold=True)
    if told.rules:
        _print_rules(told)
    if told.chain:
        _print_chain(told.chain, last)
    click.echo("\nWhat would wake it, or keep it up")
    for sentence_ in told.wakes_on:
        click.echo(f"  {sentence_}")


def _print_chain(chain: Sequence[Link], last: int) -> None:
    click.echo("\nWhat happened" + (f" (the last {last} of {len(chain)})" if len(chain) > last else ""))
    day = None
    for link in chain[-last:]:
        if link.at.date() != day:
            day = link.at.date()
            click.echo(f"  {day} UTC")
        click.echo(f"  {_line(link)}")


def _print_rules(told: Explanation) -> None:
    measured = f" (answers of {stamp(told.measured_at)})" if told.measured_at else " (nothing was measured yet)"
    click.echo(f"\nThe rules, in order{measured}")
    for view in told.rules:
        text = f"  {_mark(view)} {view.code:<18} {_said(view)}"
        click.secho(text.rstrip(), bold=view.decides, dim=not view.holds)
    click.echo(f"  {_blocking(told)}")


def _blocking(told: Explanation) -> str:
    blockers = [str(view.code) for view in told.blockers]
    if Code.ASLEEP in blockers:
        return "Nothing is left to be put to sleep: it is asleep"
    if told.mode is not Mode.FULL:
        blockers.append(f"the mode ({told.mode})")
    return f"Blocks sleeping: {', '.join(blockers) or 'nothing, it sleeps at the next cycle'}"


def _said(view: RuleView) -> str:
    # A trigger that could not be asked has no value for the sentence of the rule.
    unasked = view.code is Code.NOT_IDLE and view.reason.fact("cause") is not None
    return sentence(view.reason) if view.holds and not unasked else _present(view)


def _present(view: RuleView) -> str:
    """The values that a rule looked at and that did not make it hold."""
    shown = ((name, f"{value:g}" if isinstance(value, float) else value) for name, value in view.reason.facts)
    return ", ".join(f"{name} {value}" for name, value in shown if value != "")


def _mark(view: RuleView) -> str:
    if view.decides:
        return "▶"
    return "●" if view.holds else "·"


def _line(link: Link) -> str:
    after = f" +{_short(link.after)}" if link.after is not None else ""
    return f"{stamp(link.at)[11:]}{after:>10}  {link.what:<16} {link.text}  [{link.place}]"


def _short(length: timedelta) -> str:
    if abs(length) < timedelta(seconds=1):
        return f"{length / timedelta(milliseconds=1):.0f}ms"
    return span(length)


def _print_json(told: Explanation, last: int) -> None:
    content = {
        "answer": told.answer,
        "rules": [_rule(view) for view in told.rules],
        "mode": told.mode,
        "blocksSleeping": [view.code for view in told.blockers],
        "chain": [_link(link) for link in told.chain[-last:]],
        "wakesOn": told.wakes_on,
        "measuredAt": stamp(told.measured_at) if told.measured_at else None,
    }
    click.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2))


def _rule(view: RuleView) -> Mapping[str, object]:
    return {
        "code": view.code,
        "holds": view.holds,
        "decides": view.decides,
        "action": view.action,
        "facts": dict(view.reason.facts),
    }


def _link(link: Link) -> Mapping[str, object]:
    after: Sequence[float] | float | None = link.after / timedelta(milliseconds=1) if link.after is not None else None
    return {"at": stamp(link.at), "what": link.what, "text": link.text, "place": link.place, "afterMs": after}
