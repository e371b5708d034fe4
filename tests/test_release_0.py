"""What release 0 wrote is read by this version, from bytes to decisions; what a newer one writes is not guessed at."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from consumer.core.replay import Occasion, judge
from consumer.core.state import ServiceState, Wake
from consumer.ports import LogSetupError, Output
from consumer.wire.decision import Logged, logged_from
from consumer.wire.state import state_from_bytes, state_to_bytes
from consumer.worker.worker import Worker
from schemas.codec import Undecodable, decode, decode_host, decode_request_count
from schemas.control import Control
from schemas.decision import Decision
from schemas.message import Message
from schemas.partitioning import record_key
from schemas.scale_command import ScaleCommand
from schemas.scale_result import ScaleResult
from schemas.service_status import ServiceStatus
from schemas.state import VERSION
from schemas.state import ServiceState as StateMessage
from schemas.topics import Topic
from tests.release_story import POLICIES, Moods, key
from tests.worker.bed import COOLDOWN, T0, Bed

RELEASE = Path(__file__).parent / "golden" / "release-0"
OUTPUTS: dict[Topic, type[Message]] = {
    Topic.SCALE_COMMANDS: ScaleCommand,
    Topic.SCALE_RESULTS: ScaleResult,
    Topic.SERVICE_STATUS: ServiceStatus,
    Topic.CONTROL: Control,
    Topic.DECISIONS: Decision,
    Topic.STATE: StateMessage,
}
LATER = timedelta(hours=6)
# Their content is other people's: every name in them means something.
FREE = ("facts", "metadata")


def lines(topic: Topic) -> list[bytes]:
    return (RELEASE / f"{topic}.jsonl").read_bytes().splitlines()


def newer(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """The same from a writer that knows more: a field that nobody here heard of in every object."""
    if isinstance(value, list):
        return [newer(item) for item in value]
    if not isinstance(value, dict):
        return value
    known = {name: content if name in FREE else newer(content) for name, content in value.items()}
    return {**known, "novelty": {"since": "release 1"}}


def states() -> Iterator[ServiceState]:
    for line in lines(Topic.STATE):
        state = state_from_bytes(line)
        assert isinstance(state, ServiceState), state
        yield state


def decisions() -> Iterator[Logged]:
    for line in lines(Topic.DECISIONS):
        decision = decode(Decision, line)
        assert isinstance(decision, Decision), decision
        logged = logged_from(decision)
        assert isinstance(logged, Logged), logged
        yield logged


@pytest.mark.parametrize("topic", OUTPUTS)
def test_every_output_is_read_also_with_fields_that_nobody_knows(topic: Topic) -> None:
    model = OUTPUTS[topic]
    assert lines(topic)
    for line in lines(topic):
        message = decode(model, line)
        assert isinstance(message, model), message
        assert decode(model, json.dumps(newer(json.loads(line))).encode()) == message


def test_every_input_is_read_also_with_fields_that_nobody_knows() -> None:
    for topic, read in ((Topic.REQUEST_COUNTS, decode_request_count), (Topic.HOSTS, decode_host)):
        assert lines(topic)
        for line in lines(topic):
            message = read(line)
            assert not isinstance(message, Undecodable), message
            assert read(json.dumps(newer(json.loads(line))).encode()) == message


def test_every_state_is_read_exactly_and_written_so_that_it_is_read_again() -> None:
    for line, state in zip(lines(Topic.STATE), states(), strict=True):
        assert state_from_bytes(state_to_bytes(state, "default")) == state
        assert state_from_bytes(json.dumps(newer(json.loads(line))).encode()) == state
        # Nothing that was written is lost on the way; sentences are made anew from their facts.
        before, after = (json.loads(value) for value in (line, state_to_bytes(state, "default")))
        for content in (before, after):
            content.get("said", {}).get("reason", {}).pop("message", None)
        assert {name: after.get(name) for name in before} == before


def test_every_decision_can_be_judged_again() -> None:
    policies, seen = set(), set()
    for logged in decisions():
        judged = logged.judged
        if judged.policy is not None:
            policies.add(judged.policy.key)
        outcome = judge(judged)
        assert outcome.decision_id == logged.id
        seen.add(judged.occasion)
    assert seen == set(Occasion)
    assert len(policies) > 10


def restored(*records: tuple[bytes, bytes]) -> Bed:
    """An installation in which release 0 left these states, some hours later."""
    bed = Bed(*POLICIES)
    bed.judges = Moods()
    for place, value in records:
        bed.log.append(Output(bed.name(Topic.STATE), 0, place, value))
    bed.clock.advance(LATER)
    return bed


def left() -> list[tuple[bytes, bytes]]:
    return [(bytes(state.key), line) for state, line in zip(states(), lines(Topic.STATE), strict=True)]


def _is_unanswered(wake: Wake | None) -> bool:
    return wake is not None and wake.asked > 0 and wake.accepted_at is None


async def test_a_worker_goes_on_from_the_states() -> None:
    last = {state.key: state for state in states()}
    owed = {state.key.name for state in last.values() if _is_unanswered(state.wake)}
    assert {"asleep", "failed", "unanswered"} <= owed
    bed = restored(*left())
    async with bed.running() as worker:
        assert set(worker.states()) >= {each.key for each in POLICIES}
        await bed.pass_time(timedelta(seconds=10))
        # What was owed is asked again at once, and what was not is not.
        again = {command.service for command in bed.commands() if command.reason.code == "unfinished"}
        assert owed <= again
        for each in POLICIES:
            bed.request(each.key)
        await bed.flush()
        asked = {command.service for command in bed.commands() if command.direction == "up"}
        kept = {"held", "observed"}
        up = {name.name for name, state in last.items() if state.target is not None and state.target.replicas}
        assert {each.key.name for each in POLICIES} - asked - kept <= up
        before = len(bed.commands())
        await bed.pass_time(COOLDOWN - timedelta(minutes=1), timedelta(seconds=10))
        asleep = [command for command in bed.commands()[before:] if command.direction == "zero"]
        assert asleep == []


async def test_a_state_of_a_newer_format_ends_the_worker_with_a_clear_word_before_it_decides_anything() -> None:
    place, value = left()[-1]
    changed = {**json.loads(value), "v": VERSION + 1}
    bed = restored(*left()[:-1], (place, json.dumps(changed).encode()))
    bed.request(key("asleep"))
    with pytest.raises(LogSetupError) as refused:
        await Worker(bed.ports(), bed.settings).run()
    said = str(refused.value)
    assert said.startswith(f"elasti.state/0@{len(left()) - 1}: ")
    assert f"its format is {VERSION + 1}, this version knows {VERSION}; run the version that wrote it" in said
    assert f"write a tombstone for the key {place!r}" in said
    assert bed.commands() == []
    assert bed.committed(Topic.REQUEST_COUNTS) == 0


async def test_a_reason_of_a_newer_version_in_a_state_is_refused_likewise() -> None:
    place, value = left()[-1]
    changed = json.loads(value)
    changed["said"]["reason"]["code"] = "full-moon"
    bed = restored((place, json.dumps(changed).encode()))
    with pytest.raises(LogSetupError, match=r"'full-moon' is not a valid Code; run the version that wrote it"):
        await Worker(bed.ports(), bed.settings).run()


def test_the_story_is_that_of_the_golden_files() -> None:
    assert {state.key for state in states()} == {*(each.key for each in POLICIES), key("undeclared")}
    assert all(state.first_seen_at >= T0 for state in states())
    assert record_key("shop", "asleep") == bytes(key("asleep"))
