"""What a run came to, in lines for people: figures, what is no violation but worth knowing, and violations."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from consumer.checker import Expectations, Outage, Verdict, check
from tests.chaos.deeds import Server
from tests.chaos.evidence import Evidence
from tests.chaos.eyes import Sight
from tests.chaos.fleet import NAMESPACE
from tests.chaos.judge import SEEN_WITHIN, WAKE_WITHIN, Finding, Judgement, judge
from tests.chaos.lives import judge_lives
from tests.chaos.plan import GATEWAYS
from tests.chaos.processes import Span

_SHOWN, _PLACES = 40, 6


def report(evidence: Evidence, say: Callable[[str], None]) -> int:
    """Judge the run, say what came of it, and return the exit code."""
    judgement = judge(evidence)
    lived, errors = judge_lives(evidence.lives)
    verdict = check(evidence.recorded.recording, _expectations(evidence))
    findings = [*judgement.findings, *lived]
    say("")
    for line in (*_figures(evidence, judgement), *_checked(verdict)):
        say(line)
    for event, count in errors.most_common(8):
        say(f"  logged as an error {count} times: {event}")
    for finding in findings[:_SHOWN]:
        say(f"VIOLATION {_told(finding)}")
    for violation in verdict.violations[:_SHOWN]:
        say(f"VIOLATION by the log: {violation.service}: {violation.rule}: {violation.sentence}")
        for place in violation.records[:_PLACES]:
            say(f"    {place.time:%T.%f} {place} {place.says}")
    rules = [*(finding.rule for finding in findings), *(violation.rule for violation in verdict.violations)]
    for rule, count in Counter(map(str, rules)).items():
        say(f"{count} violations: {rule}")
    say(f"seed {evidence.plan.seed}: {f'FAILED, {len(rules)} violations' if rules else 'all held'}")
    return 1 if rules else 0


def _expectations(evidence: Evidence) -> Expectations:
    """What the checker may expect: the truth at the end, and when nothing could be carried out."""
    targets = {service: versions[-1].target for service, versions in evidence.versions.items()}
    away = [span for server, span in evidence.done.away if server is not Server.PROMETHEUS]
    return Expectations(
        quiet=evidence.came_to_rest,
        actual={
            f"{NAMESPACE}/{service}": evidence.histories[target][-1].replicas for service, target in targets.items()
        },
        wake_within=WAKE_WITHIN,
        until=evidence.ended,
        outages=tuple(Outage(span.began, span.ended) for span in away),
        heard_within=SEEN_WITHIN,
    )


def _told(finding: Finding) -> str:
    return f"{finding.at:%T.%f} {finding.service}: {finding.rule}: {finding.sentence}"


def _figures(evidence: Evidence, judgement: Judgement) -> Iterator[str]:
    deeds, recorded = evidence.done.deeds, evidence.recorded
    took = evidence.stopped - evidence.began
    yield f"faults for {took.total_seconds():.0f} s: " + ", ".join(
        f"{count} {name}" for name, count in sorted(deeds.items())
    )
    ends = Counter(life.end for life in evidence.lives)
    away = sum(
        (span.ended - span.began for server, span in evidence.done.away if server is not Server.PROMETHEUS), timedelta()
    )
    yield f"{_memberships(evidence)} times a member of a group came, went, or was missed"
    yield (
        f"{len(evidence.lives)} processes: "
        + ", ".join(f"{count} {end}" for end, count in ends.items())
        + f"; {evidence.done.connections_cut} connections cut; Kafka or the API away {away.total_seconds():.0f} s"
    )
    yield (
        f"{len(evidence.ledger)} requests taken, {len(evidence.refused)} refused; {len(recorded.logged)} in the log; "
        f"the traffic was up to {evidence.done.late.total_seconds():.1f} s behind its plan"
    )
    delays = judgement.delays
    yield f"{len(delays)} requests waited for a service at zero: {_ranks(delays)}"
    late = [zero for zero in judgement.zeros if zero.late]
    yield (
        f"{len(judgement.zeros)} sleeps; {len(late)} landed behind a request, undone after "
        f"{_ranks(sorted(zero.back for zero in late if zero.back is not None))}; {judgement.forgotten} requests "
        "that only a direct wake knew of were forgotten with a process that was killed"
    )
    if (lull := evidence.plan.lull) is not None:
        idle = Span(evidence.began + lull[0], evidence.began + lull[1])
        asleep = sum(idle.began <= zero.seen <= idle.ended for zero in judgement.zeros)
        awake = sum(_up(history, idle.began) for history in evidence.histories.values())
        yield (
            f"the whole fleet fell idle at {lull[0].total_seconds():.0f} s, {awake} of it awake; the sleep budgets "
            f"let {asleep} fall asleep in {(lull[1] - lull[0]).total_seconds():.0f} s"
        )
    counts = Counter(record.topic for record in recorded.records)
    yield "records: " + ", ".join(f"{count} {topic}" for topic, count in sorted(counts.items()))


def _up(history: Sequence[Sight], moment: datetime) -> bool:
    before = [sight for sight in history if sight.at <= moment]
    return bool(before and before[-1].replicas)


def _memberships(evidence: Evidence) -> int:
    """Each of them is a rebalance, unless two come together."""
    during = [life for life in evidence.lives if life.slot not in GATEWAYS]
    began = sum(evidence.began < life.began < evidence.stopped for life in during)
    ended = sum(life.ended < evidence.stopped for life in during)
    return began + ended + 2 * evidence.done.deeds.get("zombie", 0)


def _checked(verdict: Verdict) -> Iterator[str]:
    figures = verdict.figures
    yield (
        f"by the log: {figures.requests} requests, {figures.wakes} wakes, {figures.sleeps} sleeps, "
        f"{figures.decisions} decisions of {figures.owners} owners, {figures.replayed} repeated, "
        f"{figures.dead_letters} dead letters; wakes {_ranks(figures.delays)}"
    )
    for why, count in figures.unjudged.items():
        yield f"  not judged {count} times: {why}"


def _ranks(times: Sequence[timedelta]) -> str:
    if not times:
        return "none"
    half, most = times[len(times) // 2], times[min(int(len(times) * 0.99), len(times) - 1)]
    return (
        f"p50 {half.total_seconds():.2f} s, p99 {most.total_seconds():.2f} s, at most {times[-1].total_seconds():.2f} s"
    )
