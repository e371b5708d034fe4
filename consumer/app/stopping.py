"""How a program is told to stop: once politely, before it has begun at once, and a second time whatever it does."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import structlog

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

_ANEW = "the process ends with it, to be started anew by whoever keeps it"


@contextmanager
def stop_on_signals(stopping: asyncio.Event) -> Iterator[None]:
    """Set the event at SIGTERM and SIGINT; a second one ends the process at once, as it does without us."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)

    def ask(number: signal.Signals) -> None:
        log.info("stopping", signal=number.name)
        stopping.set()
        for each in signals:
            loop.remove_signal_handler(each)

    for each in signals:
        loop.add_signal_handler(each, ask, each)
    try:
        yield
    finally:
        for each in signals:
            loop.remove_signal_handler(each)


async def unless_stopped(
    work: Coroutine[Any, Any, Result], *, stopping: asyncio.Event, begun: asyncio.Event
) -> Result | None:
    """Do the work, which ends by itself when `stopping` is set; stopped before it had `begun`, break it off: None.

    Nobody who presses Ctrl-C while a Kafka starts wants to wait for it.
    """

    async def break_off() -> None:
        await stopping.wait()
        if not begun.is_set():
            working.cancel()

    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(work)
        watching = tasks.create_task(break_off())
        working.add_done_callback(lambda _: watching.cancel())
    return None if working.cancelled() else working.result()


async def until_told(name: str, work: Callable[[], Coroutine[Any, Any, None]], stopping: asyncio.Event) -> None:
    """Do work that ends when it is told to; raises RuntimeError when it ends by itself.

    A task group misses nobody who returns, or is cancelled from inside: the process would live on without its worker.
    """
    try:
        await work()
    except asyncio.CancelledError as stray:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RuntimeError(f"the {name} was cancelled by nobody; {_ANEW}") from stray
    if not stopping.is_set():
        raise RuntimeError(f"the {name} ended by itself; {_ANEW}")


async def unless(stopping: asyncio.Event, wait: Coroutine[Any, Any, object]) -> bool:
    """Wait for something, but no longer than until `stopping` is set; tells whether it came."""
    async with asyncio.TaskGroup() as tasks:
        coming, ending = tasks.create_task(wait), tasks.create_task(stopping.wait())
        await asyncio.wait((coming, ending), return_when=asyncio.FIRST_COMPLETED)
        came = coming.done()
        for each in (coming, ending):
            each.cancel()
    return came
