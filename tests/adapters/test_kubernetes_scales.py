"""Scales that can not be read hold nobody else up, are asked for again with growing pauses, and are never guessed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta

import pytest

from consumer.adapters.clock import ManualClock
from consumer.adapters.kubernetes import scales as module
from consumer.adapters.kubernetes.scales import Question, Scales
from consumer.adapters.kubernetes.workloads import Scale, Sketch
from consumer.core.service import TargetRef
from consumer.ports import TargetBusyError, TargetError, TargetForbiddenError, TargetKey

SECOND = timedelta(seconds=1)
TICK = timedelta(milliseconds=1)


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def key(name: str) -> TargetKey:
    return TargetKey("shop", TargetRef("bed.example/v1", "Widget", name))


def sketch(name: str, version: str = "1", uid: str = "") -> Sketch:
    return Sketch("shop", name, uid or f"uid-{name}", 1, version, None, None, None, None)


class Bench:
    """What was shown, what was asked, and what becomes of a question: an error, a wait, or the scale."""

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self.clock = ManualClock()
        self.shown: list[tuple[str, str, int]] = []
        self.asked: list[str] = []
        self.seen: set[str] = set()
        self.errors: dict[str, TargetError] = {}
        self.held: dict[str, asyncio.Event] = {}
        self.uids: dict[str, str] = {}
        self.scales = Scales(self._show, self.clock)
        self._tasks = tasks

    def _show(self, target: TargetKey, seen: Sketch, scale: Scale) -> None:
        self.shown.append((target.ref.name, seen.version, scale.replicas))

    async def sees(self, name: str, version: str = "1", uid: str = "") -> None:
        seen = sketch(name, version, uid)
        self.seen.add(seen.uid)
        self.scales.ask(Question(key(name), seen, self._reader(name)), self._tasks)
        await settled()

    def _reader(self, name: str) -> Callable[[], Awaitable[Scale]]:
        async def read() -> Scale:
            self.asked.append(name)
            if name in self.held:
                await self.held[name].wait()
            if name in self.errors:
                raise self.errors[name]
            return Scale(self.uids.get(name, f"uid-{name}"), "1", 3, 3)

        return read

    async def passes(self, length: timedelta) -> None:
        self.clock.advance(length)
        await settled()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with asyncio.TaskGroup() as tasks:
        bench = Bench(tasks)
        yield bench
        for uid in bench.seen:
            bench.scales.forget(uid)


async def test_one_that_fails_and_one_that_hangs_hold_no_other_up(bench: Bench) -> None:
    bench.errors["bad"] = TargetBusyError("HTTP 500")
    bench.held["mute"] = asyncio.Event()
    for name in ("bad", "mute", "good"):
        await bench.sees(name)
    assert bench.shown == [("good", "1", 3)]
    await bench.sees("good", "2")
    assert bench.shown[1:] == [("good", "2", 3)]


async def test_a_hundred_that_failed_leave_the_way_free_for_one_that_is_new(bench: Bench) -> None:
    for number in range(100):
        bench.errors[f"bad-{number}"] = TargetBusyError("HTTP 500")
        await bench.sees(f"bad-{number}")
    for number in range(100):
        bench.held[f"bad-{number}"] = asyncio.Event()
    await bench.passes(SECOND)
    # Only these few are asked again at once.
    assert len(bench.asked) == 104
    await bench.sees("good")
    assert bench.shown == [("good", "1", 3)]


@pytest.mark.parametrize(
    ("error", "later"),
    [(TargetBusyError("HTTP 500"), (30, 30)), (TargetForbiddenError("no rights"), (32, 64, 128, 256, 300, 300))],
)
async def test_what_failed_is_asked_again_after_growing_pauses_until_it_is_known(
    bench: Bench, error: TargetError, later: Sequence[int]
) -> None:
    bench.errors["bad"] = error
    await bench.sees("bad")
    for count, pause in enumerate((1, 2, 4, 8, 16, *later), 1):
        assert len(bench.asked) == count
        await bench.passes(pause * SECOND - TICK)
        assert len(bench.asked) == count
        await bench.passes(TICK)
    assert bench.shown == []
    bench.errors.clear()
    await bench.passes(later[-1] * SECOND)
    assert bench.shown == [("bad", "1", 3)]


async def test_how_long_the_server_wants_to_be_left_alone_counts(bench: Bench) -> None:
    bench.errors["bad"] = TargetBusyError("HTTP 429", 7 * SECOND)
    await bench.sees("bad")
    await bench.passes(7 * SECOND - TICK)
    assert len(bench.asked) == 1
    await bench.passes(TICK)
    assert len(bench.asked) == 2


async def test_of_what_changes_meanwhile_the_newest_is_shown_with_a_scale_read_after_it(bench: Bench) -> None:
    bench.held["web"] = asyncio.Event()
    for version in ("1", "2", "3"):
        await bench.sees("web", version)
    assert bench.asked == ["web"]
    bench.held["web"].set()
    await settled()
    assert bench.shown == [("web", "1", 3), ("web", "3", 3)]
    assert bench.asked == ["web", "web"]


async def test_news_of_one_that_fails_do_not_hurry_it(bench: Bench) -> None:
    bench.errors["bad"] = TargetBusyError("HTTP 500")
    for version in range(10):
        await bench.sees("bad", str(version))
    assert bench.asked == ["bad"]
    bench.errors.clear()
    await bench.passes(SECOND)
    assert bench.shown == [("bad", "9", 3)]


async def test_one_that_is_gone_is_asked_for_no_more(bench: Bench) -> None:
    bench.errors["bad"] = TargetBusyError("HTTP 500")
    await bench.sees("bad")
    bench.scales.forget("uid-bad")
    await bench.passes(30 * SECOND)
    assert bench.asked == ["bad"]


async def test_the_scale_of_another_object_of_that_name_says_nothing(bench: Bench) -> None:
    bench.uids["web"] = "uid-other"
    await bench.sees("web")
    assert bench.shown == []
    await bench.sees("web", "7", "uid-other")
    assert bench.shown == [("web", "7", 3)]


async def test_one_that_does_not_answer_counts_as_failed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ANSWERS_WITHIN", timedelta())
    bench.held["mute"] = asyncio.Event()
    await bench.sees("mute")
    bench.held["mute"].set()
    await bench.passes(SECOND)
    assert bench.asked == ["mute", "mute"]
    assert bench.shown == [("mute", "1", 3)]
