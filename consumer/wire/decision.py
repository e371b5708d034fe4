"""The decision log: a judgement with all its inputs to a message, and back for whoever wants to repeat it."""

from dataclasses import dataclass

from pydantic import ValidationError

from consumer.core.answers import Answers
from consumer.core.inputs import Cause, RequestSeen, ResultSeen, Surroundings
from consumer.core.outcome import Action, Outcome
from consumer.core.policy import Policy
from consumer.core.reasons import Reason
from consumer.core.replay import Judged, Occasion
from consumer.core.state import ServiceState
from consumer.wire.messages import path_of
from consumer.wire.shapes import Json, Shape, json_of
from consumer.wire.state import state_from_json, state_shape
from schemas.codec import MAX_CAUSE, Undecodable, cause_of
from schemas.decision import Decision


@dataclass(frozen=True, slots=True)
class Logged:
    """A decision as the log has it; `judged.policy` is None unless its content was logged then.

    Judged again under the policy that was in force (or any other), `judged` gives the same outcome (or what it would
    have been).
    """

    judged: Judged
    id: str
    action: Action
    reason: Reason
    cause: Cause
    after: ServiceState
    command_id: str | None
    withheld: bool


_EVENT = Shape[RequestSeen | ResultSeen](RequestSeen | ResultSeen)
_ANSWERS = Shape[Answers](Answers)
_SURROUNDINGS = Shape[Surroundings](Surroundings)
_POLICY = Shape[Policy](Policy)
_CAUSE = Shape[Cause](Cause)
_REASON = Shape[Reason](Reason)


def decision_message(judged: Judged, outcome: Outcome, cluster: str, *, policy_is_new: bool = False) -> Decision:
    """Return the message that records the judgement and what came of it, and a policy that is new with its content."""
    before, policy = judged.state, judged.policy
    inputs = {
        "requests": before.requests,
        "event": judged.event,
        "answers": judged.answers,
        "path": path_of(before.hosts),
        "replicas": before.target.replicas if before.target else None,
        "surroundings": judged.surroundings,
        "policyUid": policy.uid if policy else None,
        "policyHash": policy.hash if policy else None,
        "policy": policy if policy_is_new else None,
    }
    return Decision.model_validate(
        json_of(
            {
                "cluster": cluster,
                "id": outcome.decision_id,
                "namespace": before.key.namespace,
                "service": before.key.name,
                "now": judged.now,
                "judgement": judged.occasion,
                "action": outcome.action,
                "reason": outcome.reason,
                "inputs": inputs,
                "before": state_shape(before, cluster),
                "after": state_shape(outcome.state, cluster),
                "commandId": outcome.command.id if outcome.command else None,
                "withheld": outcome.withheld,
                "cause": outcome.cause,
            }
        )
    )


def logged_from(decision: Decision) -> Logged | Undecodable:
    """Return the core's values of a logged decision; Undecodable when it was cut, or is of another version."""
    if decision.before is None or decision.after is None or decision.cut:
        return Undecodable(f"decision {decision.id} was cut to fit its record; it can be read, but not repeated", None)
    try:
        return _logged(decision, decision.model_dump(mode="json", by_alias=True))
    except ValidationError as error:
        return Undecodable(f"decision {decision.id}: {cause_of(error)}", None)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        return Undecodable(f"decision {decision.id}: {error}"[:MAX_CAUSE], None)


def _logged(decision: Decision, json: Json) -> Logged:
    inputs, reason = json["inputs"], _REASON.value_of(json["reason"])
    judged = Judged(
        occasion=Occasion(decision.judgement.value),
        policy=_POLICY.value_of(inputs["policy"]) if inputs["policy"] else None,
        state=state_from_json(json["before"]),
        surroundings=_SURROUNDINGS.value_of(inputs["surroundings"]),
        now=decision.now,
        answers=_ANSWERS.value_of(inputs["answers"]) if inputs["answers"] else None,
        event=_EVENT.value_of(inputs["event"]) if inputs["event"] else None,
        code=reason.code,
    )
    return Logged(
        judged=judged,
        id=decision.id,
        action=Action(decision.action.value),
        reason=reason,
        cause=_CAUSE.value_of(json["cause"]),
        after=state_from_json(json["after"]),
        command_id=decision.command_id,
        withheld=decision.withheld,
    )
