"""How a program is told to stop."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from functools import partial

import pytest

from consumer.app.stopping import stop_on_signals, unless_stopped, until_told


async def _work(begins: asyncio.Event, stopping: asyncio.Event, begun: asyncio.Event) -> str:
    await begins.wait()
    begun.set()
    await stopping.wait()
    return "done in order"


async def test_work_that_had_begun_ends_by_itself() -> None:
    begins, stopping, begun = asyncio.Event(), asyncio.Event(), asyncio.Event()
    begins.set()
    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(unless_stopped(_work(begins, stopping, begun), stopping=stopping, begun=begun))
        await begun.wait()
        stopping.set()
    assert working.result() == "done in order"


async def test_work_that_had_not_begun_is_broken_off() -> None:
    never, stopping, begun = asyncio.Event(), asyncio.Event(), asyncio.Event()
    stopping.set()
    assert await unless_stopped(_work(never, stopping, begun), stopping=stopping, begun=begun) is None
    assert not begun.is_set()


async def test_work_that_is_never_stopped_gives_its_result() -> None:
    async def work() -> int:
        return 7

    assert await unless_stopped(work(), stopping=asyncio.Event(), begun=asyncio.Event()) == 7


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_first_signal_asks_politely_and_the_second_is_left_to_the_system(number: signal.Signals) -> None:
    stopping = asyncio.Event()
    before = signal.getsignal(number)
    with stop_on_signals(stopping):
        os.kill(os.getpid(), number)
        await stopping.wait()
        # Nothing of ours stands in the way of the next one any more.
        assert signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL)
    signal.signal(number, before)


async def _cancelled_from_inside() -> None:
    """As a client does that waits for a task of its own which it has cancelled."""
    inner = asyncio.get_running_loop().create_task(asyncio.Event().wait())
    inner.cancel()
    await inner


async def _returns() -> None:
    return


@pytest.mark.parametrize(
    ("work", "told"), [(_cancelled_from_inside, "was cancelled by nobody"), (_returns, "ended by itself")]
)
async def test_work_that_ends_before_it_is_told_to_is_an_error(
    work: Callable[[], Coroutine[None, None, None]], told: str
) -> None:
    with pytest.raises(RuntimeError, match=f"the worker {told}"):
        await until_told("worker", work, asyncio.Event())


async def test_work_that_ends_when_it_is_told_to_is_none() -> None:
    stopping = asyncio.Event()
    stopping.set()
    await until_told("worker", _returns, stopping)


async def test_work_that_is_cancelled_from_outside_is_cancelled() -> None:
    working = asyncio.get_running_loop().create_task(until_told("worker", partial(asyncio.sleep, 60), asyncio.Event()))
    await asyncio.sleep(0)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
