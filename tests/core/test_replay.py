"""Every judgement can be made again from what it was made from, and gives the same outcome."""

from dataclasses import replace

import pytest

from consumer.core.decide import adopt, decide, release, respond, retry
from consumer.core.inputs import RecordCause, RequestSeen
from consumer.core.outcome import Outcome
from consumer.core.reasons import Code
from consumer.core.replay import Judged, NotReplayableError, Occasion, judge
from consumer.core.service import Phase
from consumer.core.state import Wake
from tests.core.stage import AROUND, ASLEEP, AWAKE, POLICY, T0, idle, result, said

REQUEST = RequestSeen(1, T0, RecordCause("requests", 0, 1))
OWED = replace(ASLEEP, wake=Wake(T0, Code.REQUEST, REQUEST.origin, T0))
DIRECT = replace(result(Phase.ACCEPTED, 5, 1, T0), direct=True)
ANSWERS = said(idle(T0))


@pytest.mark.parametrize(
    ("judged", "outcome"),
    [
        (Judged(Occasion.CYCLE, POLICY, AWAKE, AROUND, T0, ANSWERS), decide(POLICY, AWAKE, ANSWERS, AROUND, T0)),
        (Judged(Occasion.CYCLE, None, AWAKE, AROUND, T0), decide(None, AWAKE, None, AROUND, T0)),
        (
            Judged(Occasion.REQUEST, POLICY, ASLEEP, AROUND, T0, event=REQUEST),
            respond(POLICY, ASLEEP, REQUEST, AROUND, T0),
        ),
        (Judged(Occasion.RETRY, POLICY, OWED, AROUND, T0), retry(POLICY, OWED, AROUND, T0)),
        (Judged(Occasion.RELEASE, POLICY, ASLEEP, AROUND, T0), release(POLICY, ASLEEP, AROUND, T0)),
        (
            Judged(Occasion.RELEASE, POLICY, ASLEEP, AROUND, T0, code=Code.TARGET_CHANGED),
            release(POLICY, ASLEEP, AROUND, T0, code=Code.TARGET_CHANGED),
        ),
        (
            Judged(Occasion.ADOPTION, POLICY, ASLEEP, AROUND, T0, event=DIRECT),
            adopt(POLICY, ASLEEP, DIRECT, AROUND, T0),
        ),
    ],
    ids=lambda value: str(value.occasion) if isinstance(value, Judged) else "",
)
def test_a_judgement_made_again_has_the_same_outcome(judged: Judged, outcome: Outcome) -> None:
    assert outcome.changed
    assert judge(judged) == outcome


@pytest.mark.parametrize(
    ("judged", "missing"),
    [
        (Judged(Occasion.REQUEST, POLICY, ASLEEP, AROUND, T0), "RequestSeen"),
        (Judged(Occasion.REQUEST, POLICY, ASLEEP, AROUND, T0, event=DIRECT), "RequestSeen"),
        (Judged(Occasion.ADOPTION, POLICY, ASLEEP, AROUND, T0, event=REQUEST), "ResultSeen"),
        (Judged(Occasion.RELEASE, None, ASLEEP, AROUND, T0), "Policy"),
    ],
)
def test_a_record_that_was_cut_says_what_it_lacks(judged: Judged, missing: str) -> None:
    with pytest.raises(NotReplayableError, match=f"shop/web: .* needs a {missing}, has none"):
        judge(judged)
