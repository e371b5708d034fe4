"""Explanations of a history that a real worker and a real handler made."""

from collections.abc import Sequence
from datetime import timedelta

from consumer.core.reasons import Code
from consumer.core.service import Mode, ServiceKey
from consumer.insight.explain import Explanation, explain
from tests.insight.bed import History
from tests.worker.bed import WEB

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)


async def asleep(history: History) -> None:
    """Busy for a minute, then quiet until it sleeps."""
    history.mood.value = 9
    await history.passes(MINUTE)
    history.mood.value = 0
    await history.passes(3 * MINUTE)


def deciding(told: Explanation) -> Code:
    (view,) = (view for view in told.rules if view.decides)
    return view.code


def blocking(told: Explanation) -> Sequence[Code]:
    return [view.code for view in told.blockers]


def happened(told: Explanation) -> Sequence[str]:
    return [link.what for link in told.chain]


async def test_of_several_replicas_it_claims_no_more_ready_ones_than_the_log_tells_of() -> None:
    history = History()
    async with history.running():
        history.targets.scale_by_hand(history.target, 3)
        await history.passes(SECOND)
        history.targets.make_ready(history.target, 3)
        await history.passes(SECOND)
        told = await history.explained()
    assert told.answer.startswith("shop/web is awake (3 replicas, at least 1 ready) since ")


async def test_of_a_sleeping_service_the_answer_says_since_when_and_why() -> None:
    history = History()
    async with history.running():
        await asleep(history)
        told = await history.explained()
    assert told.answer == (
        "shop/web is asleep since 2026-01-31T12:02:30.800Z (1m30s) because "
        "nothing was asked of it for a whole cooldown (2m00s), and every trigger says idle [idle]"
    )
    assert deciding(told) is Code.ASLEEP
    assert told.wakes_on == [
        "a request: POST /informer/incoming-request, or `elasti send request-count shop/web`",
        "prometheus#0 at 1 or above: up",
    ]


async def test_the_chain_is_in_order_with_offsets_and_delays() -> None:
    history = History()
    async with history.running():
        await asleep(history)
        await history.request()
        await history.becomes_ready()
        told = await history.explained()
    assert happened(told) == [
        "observed",
        "ready",
        "decided up",
        "asked up",
        "unchanged",
        "decided hold",
        "decided zero",
        "asked zero",
        "accepted",
        "decided hold",
        "decided up",
        "asked up",
        "accepted",
        "ready",
    ]
    assert [link.at for link in told.chain] == sorted(link.at for link in told.chain)
    places = [link.place for link in told.chain if link.what.startswith("decided")]
    assert places == [f"elasti.decisions/0@{offset}" for offset in (0, 2, 4, 6, 8)]
    assert "caused by elasti.request-counts/0@0" in told.chain[-4].text
    assert [link.after for link in told.chain[-4:]] == [timedelta()] * 4


async def test_of_a_woken_service_the_answer_names_the_request() -> None:
    history = History()
    async with history.running():
        await asleep(history)
        await history.request()
        await history.becomes_ready()
        told = await history.explained()
    assert told.answer.startswith("shop/web is awake (1 of 1 ready) since 2026-01-31T12:04:01.600Z")
    assert "because a request came at 2026-01-31T12:04:01.600Z (elasti.request-counts/0@0) [request]" in told.answer
    # A request is decided without asking anyone: the answers of the cycle before are still what is known.
    assert blocking(told) == [Code.RECENT_TRAFFIC, Code.COOLING_DOWN]


async def test_a_busy_service_is_blocked_by_its_trigger_and_never_called_idle() -> None:
    history = History()
    async with history.running():
        history.mood.value = 9
        await history.passes(4 * MINUTE)
        told = await history.explained()
    assert "because prometheus#0 says busy: 9 is not below 1 [busy]" in told.answer
    assert deciding(told) is Code.BUSY
    assert blocking(told) == [Code.BUSY, Code.NOT_IDLE]
    assert [view.holds for view in told.rules if view.code is Code.IDLE] == [False]


async def test_a_blind_service_is_blocked_by_what_could_not_be_asked() -> None:
    history = History()
    async with history.running():
        history.mood.blind = True
        await history.passes(5 * MINUTE)
        told = await history.explained()
    assert "because it is not put to sleep blind: prometheus#0 says http-error (HTTP 503) [blind]" in told.answer
    assert deciding(told) is Code.BLIND
    # What it said for minutes is not stale: a decision is logged only when something changes.
    assert Code.STALE not in blocking(told)


async def test_fresh_answers_win_over_what_the_log_remembers() -> None:
    history = History()
    async with history.running():
        history.mood.blind = True
        await history.passes(5 * MINUTE)
        history.mood.blind = False
        story = await history.story()
        told = explain(story, story.policy(), history.mood.answers(history.now), history.now)
    assert deciding(told) is Code.IDLE
    assert blocking(told) == []
    assert told.measured_at == history.now


async def test_what_the_mode_withholds_is_said() -> None:
    history = History(mode=Mode.OBSERVE)
    async with history.running():
        await history.passes(3 * MINUTE)
        told = await history.explained()
    assert "because the mode withholds its sleep: nothing was asked of it for a whole cooldown" in told.answer
    assert "decided zero (withheld by the mode)" in happened(told)
    assert told.mode is Mode.OBSERVE
    assert history.bed.commands() == []


async def test_a_wake_that_is_not_done_yet_is_said_of_a_sleeping_service() -> None:
    history = History()
    async with history.running():
        await asleep(history)
    # The handler is gone: the worker asks, and nobody answers.
    async with history.bed.running():
        await history.request()
        told = await history.explained()
    assert told.answer.startswith("shop/web is asleep since 2026-01-31T12:02:30.800Z")
    assert "; its wake was asked for and is not done yet: a request came at" in told.answer


async def test_it_tells_how_it_was_and_why_it_changed_before() -> None:
    history = History()
    async with history.running():
        await asleep(history)
        await history.request()
        await history.becomes_ready()
        now = await history.explained()
        slept = next(link.at for link in now.chain if link.what == "accepted")
        before = await history.explained(slept - SECOND)
        after = await history.explained(slept)
    assert before.answer.startswith("shop/web is awake (1 of 1 ready)")
    assert "within the cooldown" in before.answer
    assert "decided zero" not in happened(before)
    # No decision followed the result yet: the result alone says that it sleeps.
    assert after.answer.startswith(f"shop/web is asleep since {slept:%Y-%m-%dT%H:%M:%S}")
    assert happened(after)[-1] == "accepted"


async def test_a_switch_flipped_later_does_not_hold_earlier() -> None:
    history = History()
    async with history.running():
        await history.passes(MINUTE)
        before = history.now
        await history.passes(SECOND)
        history.freeze("maria", "a sale")
        await history.passes(MINUTE)
        frozen, then = await history.explained(), await history.explained(before)
    assert Code.FROZEN in blocking(frozen)
    assert "sleeps are frozen by maria (*): a sale [frozen]" in frozen.answer
    assert Code.FROZEN not in blocking(then)


async def test_of_a_deleted_policy_it_says_that_nobody_looks_after_the_service_any_more() -> None:
    history = History()
    async with history.running():
        await asleep(history)
        history.bed.policies.drop(WEB)
        await history.passes(MINUTE)
        told = await history.explained()
    assert told.answer.startswith("shop/web is not looked after any more because its policy was deleted, so ")


async def test_of_an_unknown_service_it_says_so_and_that_nothing_would_wake_it() -> None:
    history = History()
    async with history.running():
        story = await history.story(ServiceKey("shop", "nosuch"))
    assert (story.state, [*story.decisions, *story.commands, *story.results]) == (None, [])
    told = explain(story, None, None, history.now)
    assert told.answer.startswith("shop/nosuch: nothing is known of it")
    assert (told.rules, told.chain) == ((), [])
    assert told.wakes_on == ["nothing: no valid policy is known; a request would be remembered for ten minutes"]
