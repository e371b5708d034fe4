"""Every rule against the present, not only the first that holds: what blocks a sleep, and what would come next."""

from dataclasses import dataclass
from typing import Final

from consumer.core.case import NOBODY, Case, Rule
from consumer.core.outcome import Action
from consumer.core.reasons import Code, Reason
from consumer.core.rules import RULES
from consumer.core.telling import told


@dataclass(frozen=True, slots=True)
class RuleView:
    """One rule and the present: its code, whether it holds, the values it looked at, and what it asks for.

    `decides`: it is the first that holds, so it is the one that is obeyed.
    """

    code: Code
    holds: bool
    reason: Reason
    action: Action
    decides: bool = False

    @property
    def blocks_sleep(self) -> bool:
        """Whether this rule, alone, would keep the service from being put to sleep now."""
        return self.holds and self.action is not Action.ZERO


_CODES: Final = (
    Code.PAUSED,
    Code.INVALID_POLICY,
    Code.NEVER_READY,
    Code.UNFINISHED,
    Code.WAITING_READY,
    Code.CONFLICT,
    Code.OUTSIDE_PERIOD,
    Code.INVALID_PERIOD,
    Code.BUSY,
    Code.ASLEEP,
    Code.PAUSED,
    Code.FROZEN,
    Code.NEWBORN,
    Code.BLIND,
    Code.STALE,
    Code.CLOCK,
    Code.BEHIND,
    Code.RECENT_TRAFFIC,
    Code.COOLING_DOWN,
    Code.NOT_IDLE,
    Code.CONTESTED,
    Code.SLEEP_BUDGET,
    Code.GUARD_TIMEOUT,
    Code.AWAITING_RESOLVER,
    Code.IDLE,
)
_UPS: Final = (Code.UNFINISHED, Code.OUTSIDE_PERIOD, Code.INVALID_PERIOD, Code.BUSY)
_NAMED: Final[tuple[tuple[Code, Rule], ...]] = tuple(zip(_CODES, RULES, strict=True))


def explain_rules(case: Case) -> tuple[RuleView, ...]:
    """Judge every rule by itself, in order; without a valid policy only the second one has anything to say."""
    views: list[RuleView] = []
    decided = False
    for code, rule in _NAMED:
        if case.policy is NOBODY and code is not Code.INVALID_POLICY:
            continue
        verdict = rule(case)
        decides = verdict is not None and not decided
        decided = decided or decides
        action = verdict.action if verdict is not None else _asked_for(code)
        views.append(RuleView(code, verdict is not None, told(code, case), action, decides))
    return tuple(views)


def _asked_for(code: Code) -> Action:
    """What a rule would ask for if it held."""
    if code in _UPS:
        return Action.UP
    if code is Code.AWAITING_RESOLVER:
        return Action.PREPARE
    return Action.ZERO if code is Code.IDLE else Action.HOLD
