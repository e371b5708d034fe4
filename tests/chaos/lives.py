"""Judges how every process lived and ended, by its exit code and its log."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson

from tests.chaos.judge import Finding, Rule
from tests.chaos.processes import End, Life

_ERRORS = frozenset({"error", "critical"})


def judge_lives(lives: Sequence[Life]) -> tuple[list[Finding], Counter[str]]:
    """Return what must not be, and how often which error was logged."""
    findings: list[Finding] = []
    errors: Counter[str] = Counter()
    for life in lives:
        if life.end is End.HUNG or (life.end is not End.KILLED and life.code) or life.end is End.ITSELF:
            words = f"process {life.number} ended {life.end} with {life.code}; its last word: {_last(life.log)}"
            findings.append(Finding(Rule.ALIVE, life.slot, life.ended, words))
        traces: dict[str, str] = {}
        for event, traced in _errors(life.log):
            errors[event] += 1
            if traced:
                traces[event] = traced
        for event, traced in traces.items():
            words = f"{life.log.name}: {event}: {traced.strip().splitlines()[-1][:300]}"
            findings.append(Finding(Rule.SILENT, life.slot, life.ended, words))
    return findings, errors


def _errors(log: Path) -> Iterator[tuple[str, str]]:
    """Yield errors as (event, exception); what is no line of ours counts when it is a traceback."""
    for line in log.read_bytes().splitlines():
        if not line.startswith(b"{"):
            if b"Traceback" in line:
                yield "a traceback", line.decode(errors="replace")
            continue
        said = orjson.loads(line)
        traced = str(said.get("exception", ""))
        if said.get("level") in _ERRORS or traced:
            yield str(said.get("event", "")).split("\n")[0][:80], traced


def _last(log: Path) -> str:
    lines = log.read_bytes().splitlines()
    return lines[-1].decode(errors="replace")[-300:] if lines else "none"
