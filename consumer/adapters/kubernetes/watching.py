"""Every object of one kind, and then each change of one: listed in pages, watched, listed anew when that is needed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from consumer.adapters.kubernetes.api import Api, ExpiredError
from consumer.ports import Clock, TargetBusyError, TargetError, TargetInvalidError

_FIRST: Final = timedelta(seconds=1)
_LONGEST: Final = timedelta(seconds=30)
_FAILED_FOR_GOOD: Final = 4
"""Watches in a row that brought nothing: the pauses between them are 1, 2 and 4 s, and then it is listed anew."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How many objects are listed at once, how long a watch is kept up, and when it counts as dead.

    A new watch costs the server next to nothing, and tells us that it is there: its bookmarks come once a minute, so
    that silence alone would say nothing within 30 s.
    """

    page: int = 500
    turn: timedelta = timedelta(seconds=20)
    quiet: timedelta = timedelta(seconds=25)


USUAL: Final = Pace()


@dataclass(frozen=True, slots=True)
class Appeared:
    """An object as it is now: new, changed, or merely listed."""

    content: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Gone:
    """An object that was deleted, as it was last."""

    content: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Whole:
    """A listing is complete: these uids were in it, and nothing else is there."""

    uids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Broken:
    """It could not be listed; it will be tried again."""

    error: TargetError


Event = Appeared | Gone | Whole | Broken


@dataclass(slots=True)
class _Place:
    """From which version a watch goes on; `works`: one did go on, so that a listing was not all that there is."""

    version: str
    works: bool = False


class Watching:
    """Follows what there is under one path of the API, through every way in which a server can go away."""

    def __init__(self, api: Api, clock: Clock, chance: Callable[[], float], pace: Pace = USUAL) -> None:
        self._api = api
        self._clock = clock
        self._chance = chance
        self._pace = pace

    async def follow(self, path: str) -> AsyncIterator[Event]:
        """Yield all objects, `Whole`, and then what changes; after a gap all of it again."""
        failures = 0
        while True:
            place = _Place("")
            try:
                async for event in self._listed(path, place):
                    yield event
                async for event in self._watched(path, place):
                    yield event
            except TargetError as error:
                # Where lists are allowed and watches are not, a fleet would be listed once a second.
                failures = 1 if place.works else failures + 1
                if not isinstance(error, ExpiredError):
                    yield Broken(error)
            await self._clock.sleep(self._pause(failures))

    async def _listed(self, path: str, place: _Place) -> AsyncIterator[Event]:
        uids: set[str] = set()
        parameters = {"limit": str(self._pace.page)}
        while True:
            match await self._api.get(path, parameters):
                case {"items": list(items), "metadata": dict(metadata)}:
                    for item in items:
                        uids.add(_uid(item))
                        yield Appeared(item)
                case _:
                    raise TargetInvalidError(f"the API answered GET {path} with something that is no list")
            if not (following := metadata.get("continue")):
                place.version = str(metadata.get("resourceVersion", ""))
                yield Whole(frozenset(uids))
                return
            parameters = {"limit": str(self._pace.page), "continue": str(following)}

    async def _watched(self, path: str, place: _Place) -> AsyncIterator[Event]:
        """Yield changes, from watch to watch, until it has to be listed anew."""
        failures = 0
        while True:
            before, began = place.version, asyncio.get_running_loop().time()
            try:
                async for line in self._api.lines(path, self._asking(place), self._pace.quiet):
                    if (event := _understood(line, place)) is not None:
                        yield event
            except TargetBusyError:
                failed = True
            else:
                # A proxy that ends every watch at once, without a word, would be asked hundreds of times a second.
                failed = asyncio.get_running_loop().time() - began < _FIRST.total_seconds()
            failures = failures + 1 if failed and place.version == before else 0
            place.works = place.works or not failed
            if failures >= _FAILED_FOR_GOOD:
                # The server may have been set back to an older store, and not know this version for a long time.
                raise ExpiredError("the watch does not go on from here")
            if failures:
                await self._clock.sleep(self._pause(failures))

    def _asking(self, place: _Place) -> dict[str, str]:
        return {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": place.version,
            "timeoutSeconds": str(int(self._pace.turn.total_seconds())),
        }

    def _pause(self, failures: int) -> timedelta:
        # All processes lose a server at one moment; by chance they do not all come back at one.
        longest: timedelta = min(_FIRST * 2 ** min(failures - 1, 10), _LONGEST)
        return longest * (0.5 + self._chance() / 2)


def _understood(line: object, place: _Place) -> Event | None:
    match line:
        case {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}:
            place.version, place.works = version, True
            return None
        case {"type": "ADDED" | "MODIFIED", "object": {"metadata": {"resourceVersion": str(version)}} as content}:
            place.version, place.works = version, True
            return Appeared(content)
        case {"type": "DELETED", "object": {"metadata": {"resourceVersion": str(version)}} as content}:
            place.version, place.works = version, True
            return Gone(content)
        case {"type": "ERROR", "object": {"code": 410}}:
            raise ExpiredError("the version to go on from is too old")
        case {"type": "ERROR", "object": {"message": str(message)}}:
            raise TargetBusyError(f"the watch ended: {message[:300]}")
        case _:
            raise TargetBusyError("the watch sent something that is no event")


def _uid(item: object) -> str:
    match item:
        case {"metadata": {"uid": str(uid)}}:
            return uid
        case _:
            raise TargetInvalidError("the API listed something that is no object")
