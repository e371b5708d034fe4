"""Whatever happens in whatever order: no harm is done, every command gets one answer, the log knows the truth."""

import asyncio
from collections import Counter
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from consumer.adapters.memory_targets import MemoryTargets
from consumer.core.outcome import Command, Expect
from consumer.ports import Change, Clock, TargetBusyError, TargetKey, TargetMovedError, TargetView
from tests.handler.bed import Bed, settled
from tests.handler.samples import MS, SECOND, TARGET, WEB, prepare, up, zero

Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["up", "zero", "late zero", "prepare", "by hand", "ready", "busy", "lost", "moved", "away", "back", "wait"]
        ),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=25,
)


class WitnessedTargets(MemoryTargets):
    """Remembers every change that was let through, with the target as it was before."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.changes: list[tuple[TargetView, Change]] = []

    async def scale(self, key: TargetKey, change: Change) -> TargetView:
        # The twin judges in one go, behind its last wait: what is there right before is what was judged.
        self.before_next_call(lambda: self._note(key, change))
        return await super().scale(key, change)

    def _note(self, key: TargetKey, change: Change) -> None:
        view = self.present(key)
        if view.replicas == change.expected and change.resource_version in (None, view.resource_version):
            self.changes.append((view, change))


class Play:
    """One run of steps against one handler."""

    def __init__(self) -> None:
        self.bed = Bed()
        self.bed.serve(WEB)
        self.targets = WitnessedTargets(self.bed.clock)
        self.bed.targets = self.targets
        self.first = self.targets.create(TARGET, replicas=1)
        self.sent: list[Command] = []

    async def run(self, steps: Sequence[Step]) -> None:
        async with self.bed.running():
            await settled()
            for name, number in steps:
                await self._step(name, number)
            self.bed.publisher.away = False
            for _ in range(8):
                await self.bed.later(5 * SECOND)

    async def _step(self, name: str, number: int) -> None:
        view = self.targets.present(TARGET)
        match name:
            case "by hand":
                self.targets.scale_by_hand(TARGET, number)
            case "ready":
                self.targets.make_ready(TARGET, min(number, view.replicas))
            case "away" | "back":
                self.bed.publisher.away = name == "away"
            case "wait":
                await self.bed.later(number * 60 * MS)
            case "busy" | "moved":
                self.targets.fail(TargetBusyError("500") if name == "busy" else TargetMovedError("409"))
            case "lost":
                self.targets.fail_after(TargetBusyError("reset by peer"))
            case _:
                self._send(name, number, view)

    def _send(self, name: str, number: int, view: TargetView) -> None:
        seq = len(self.sent) + 1
        commands = {
            "up": up(seq, replicas=number + 1),
            "zero": zero(seq, view),
            "late zero": zero(seq, self.first),
            "prepare": prepare(seq),
        }
        self.sent.append(commands[name])
        self.bed.command(commands[name])


def played(steps: Sequence[Step]) -> Play:
    async def play() -> Play:
        play = Play()
        await play.run(steps)
        return play

    return asyncio.run(play())


@settings(max_examples=150)
@given(steps=STEPS)
def test_no_change_of_ours_is_ever_made_against_what_it_was_decided_on(steps: list[Step]) -> None:
    play = played(steps)
    expected = {command.expect for command in play.sent if command.expect is not None}
    for before, change in play.targets.changes:
        if change.wanted == 0:
            assert Expect(before.uid, before.generation, before.replicas) in expected
        else:
            assert change.wanted > before.replicas


@settings(max_examples=150)
@given(steps=STEPS)
def test_every_command_gets_one_answer_and_every_offset_moves(steps: list[Step]) -> None:
    play = played(steps)
    answers = Counter(
        result.command_id for result in play.bed.results() if result.command_id and result.phase.value != "released"
    )
    assert answers == {command.id: 1 for command in play.sent}
    assert play.bed.committed() == len(play.sent)


@settings(max_examples=150)
@given(steps=STEPS)
def test_in_the_end_the_log_tells_the_truth(steps: list[Step]) -> None:
    play = played(steps)
    view, results = play.targets.present(TARGET), play.bed.results()
    assert (results[-1].replicas, results[-1].ready_replicas > 0) == (view.replicas, view.ready > 0)
    if view.ready and view.replicas:
        assert any(r.phase.value == "ready" and r.target.generation == view.generation for r in results)
