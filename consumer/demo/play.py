"""Plays the demo to its end: on a screen with keys, or line by line where there is no terminal."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import ConsoleDimensions
from rich.live import Live

from consumer.app.stopping import stop_on_signals, unless_stopped
from consumer.demo import picture
from consumer.demo.keys import pressed
from consumer.demo.show import render
from consumer.demo.stage import Open, Stage, staged
from consumer.demo.summary import Summary
from consumer.settings import Settings

_FRAMES = 5
"""A second."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """How the demo is to be played: for how long (None: until it is quit), where, and the files of its last screen."""

    cluster: Open
    length: timedelta | None
    shown: bool
    say: Callable[[str], None]
    pictures: Sequence[Path] = ()


async def play(settings: Settings, wishes: Wishes) -> Summary | None:
    """Play until the time is over, q is pressed or a signal comes; None: a signal came before it had begun.

    Raises:
        LogError: Kafka could not be started, alone or in a group of errors.
        TargetError: the cluster could not be started, alone or in a group of errors.
    """
    stopping, begun = asyncio.Event(), asyncio.Event()
    with stop_on_signals(stopping):
        return await unless_stopped(_play(settings, wishes, stopping, begun), stopping=stopping, begun=begun)


async def _play(settings: Settings, wishes: Wishes, stopping: asyncio.Event, begun: asyncio.Event) -> Summary:
    async with staged(settings, wishes.cluster, say=wishes.say) as stage:
        begun.set()
        if stage.label.command:
            wishes.say(f"to look into the cluster, in another terminal: {stage.label.command}")
        wishes.say(f"playing on a real Kafka at {stage.kafka}; Ctrl-C ends it")
        tellers: tuple[Coroutine[Any, Any, None], ...]
        if wishes.shown:
            tellers = (_screen(stage, wishes.length), _keys(stage, stopping))
        else:
            tellers = (_lines(stage, wishes.say),)
        await _until_over(stage, wishes.length, stopping, tellers)
        last = render(stage.scene(wishes.length), stage.now(), ConsoleDimensions(picture.WIDTH, picture.HEIGHT))
        for path in wishes.pictures:
            picture.save(path, last)
        return stage.summary()


async def _until_over(
    stage: Stage,
    length: timedelta | None,
    stopping: asyncio.Event,
    tellers: tuple[Coroutine[Any, Any, None], ...],
) -> None:
    async with asyncio.TaskGroup() as tasks:
        telling = [tasks.create_task(teller) for teller in tellers]
        if length is not None:
            telling.append(tasks.create_task(_ring(stage, length, stopping)))
        await stopping.wait()
        for task in telling:
            task.cancel()


async def _ring(stage: Stage, length: timedelta, stopping: asyncio.Event) -> None:
    await stage.sleep(max(length - stage.elapsed(), timedelta()))
    stopping.set()


async def _screen(stage: Stage, length: timedelta | None) -> None:
    # Drawn by us alone: a second painter in a thread of its own would make it flicker.
    with Live(screen=True, auto_refresh=False) as live:
        while True:
            live.update(render(stage.scene(length), stage.now(), live.console.size), refresh=True)
            await stage.sleep(timedelta(seconds=1 / _FRAMES))


async def _lines(stage: Stage, say: Callable[[str], None]) -> None:
    while True:
        say(await stage.told.get())


async def _keys(stage: Stage, stopping: asyncio.Event) -> None:
    async def quit_() -> None:
        stopping.set()

    meanings: Mapping[str, Callable[[], Awaitable[None]]] = {
        "k": stage.kill_worker,
        "b": stage.toggle_blindness,
        "w": stage.wake_one,
        "f": stage.toggle_freeze,
        "q": quit_,
    }
    async with pressed() as keys:
        while True:
            meaning = meanings.get(await keys.get())
            if meaning is not None:
                await meaning()
