"""What people froze or switched, in one ConfigMap: a switchboard that works while the log is away."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import orjson

from consumer.adapters.kubernetes.api import Api, PatchKind
from consumer.adapters.kubernetes.watching import Appeared, Broken, Gone, Watching, Whole
from consumer.core.control import Control, ControlKind
from consumer.ports import TargetBusyError, TargetGoneError, TargetInvalidError, TargetMovedError
from consumer.wire.controls import UNREADABLE, switch_from, switch_message
from schemas.codec import Undecodable

NAME: Final = "elasti-switches"
_FREEZE: Final = "freeze"
_MODE: Final = "mode"
_ATTEMPTS: Final = 10
"""How often somebody else may be quicker with the one ConfigMap before a person is told so."""
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN: Final = 200


@dataclass(frozen=True, slots=True)
class _Board:
    """The ConfigMap as it was read: its version, its entries, and since when it is there."""

    version: str
    entries: Mapping[str, str]
    since: datetime = _LONG_AGO

    def switches(self) -> tuple[Control, ...]:
        """Return what its entries say, in the order of their names."""
        return tuple(_read(name, text, self.since) for name, text in sorted(self.entries.items()))


class KubernetesSwitches:
    """Implements `ports.Switches`: one entry for each pattern and kind, as JSON that people can read and edit.

    An entry that can not be read freezes everything: so anyone with kubectl and no `elasti` at hand can freeze, too.
    """

    def __init__(self, api: Api, watching: Watching, namespace: str, cluster: str) -> None:
        self._api = api
        self._watching = watching
        self._cluster = cluster
        self._folder = f"/api/v1/namespaces/{namespace}/configmaps"
        self._namespace = namespace

    async def follow(self) -> AsyncIterator[Sequence[Control]]:
        """Yield the whole content at once, then each time that it changes; raises TargetError when it is not shown."""
        shown: tuple[Control, ...] | None = None
        # This one object only: a right to watch it by its name is enough.
        async for event in self._watching.follow(f"{self._folder}?fieldSelector=metadata.name%3D{NAME}"):
            now = shown
            match event:
                case Appeared(content):
                    now = _board(content).switches()
                case Gone():
                    now = ()
                case Whole(uids):
                    now = now if uids else ()
                case Broken(error):
                    raise error
            if now is not None and now != shown:
                shown = now
                yield now

    async def apply(self, controls: Sequence[Control]) -> None:
        """Add these to what is there; each replaces the earlier one of its pattern and kind."""
        for _ in range(_ATTEMPTS):
            board = await self._look()
            try:
                await self._put(board, self._after(board, controls))
            except TargetMovedError:
                # Somebody was quicker: theirs stays, ours goes beside it.
                continue
            else:
                return
        raise TargetBusyError(f"ConfigMap {self._namespace}/{NAME} is changed by others all the time; try again")

    async def _look(self) -> _Board | None:
        try:
            return _board(await self._api.get(f"{self._folder}/{NAME}"))
        except TargetGoneError:
            return None

    async def _put(self, board: _Board | None, entries: Mapping[str, str]) -> None:
        if board is None:
            await self._api.post(self._folder, _object(self._namespace, entries))
            return
        body = [
            {"op": "test", "path": "/metadata/resourceVersion", "value": board.version},
            {"op": "add", "path": "/data", "value": entries},
        ]
        try:
            await self._api.patch(f"{self._folder}/{NAME}", body, PatchKind.JSON)
        except TargetGoneError as gone:
            raise TargetMovedError(str(gone)) from gone

    def _after(self, board: _Board | None, controls: Sequence[Control]) -> Mapping[str, str]:
        entries = dict(board.entries) if board else {}
        for control in controls:
            replaced = [
                name for name, text in entries.items() if _place(_read(name, text, _LONG_AGO)) == _place(control)
            ]
            for name in replaced:
                del entries[name]
            text = orjson.dumps(
                orjson.loads(switch_message(control, self._cluster).encode()), option=orjson.OPT_INDENT_2
            )
            entries[_entry(control)] = f"{text.decode()}\n"
        return entries


def _place(control: Control) -> tuple[str, bool]:
    """What a switch replaces the earlier one of: a freeze and its end are of one kind."""
    return control.key_pattern, control.kind is ControlKind.MODE


def _entry(control: Control) -> str:
    """Name an entry in the letters that a ConfigMap allows; what it is about is what its content says."""
    return ".".join(_words(control))


def _words(control: Control) -> Iterator[str]:
    namespace, _, service = control.key_pattern.partition("/")
    if control.key_pattern == "*":
        yield "everything"
    elif service == "*":
        yield from ("namespace", namespace)
    else:
        yield from ("service", namespace, service)
    yield _MODE if control.kind is ControlKind.MODE else _FREEZE


def _read(name: str, text: str, since: datetime) -> Control:
    read = switch_from(text, mode=name.endswith(f".{_MODE}"))
    if not isinstance(read, Undecodable):
        return read
    told = " ".join(text.split())[:_SHOWN]
    by = f'entry "{name}" of ConfigMap {NAME}'
    return Control(UNREADABLE, ControlKind.FREEZE, None, by, told or "no reason given", None, since)


def _board(content: object) -> _Board:
    match content:
        case {"metadata": {"resourceVersion": str(version), **metadata}, **rest}:
            data = rest.get("data")
            entries = {str(name): str(text) for name, text in data.items()} if isinstance(data, dict) else {}
            return _Board(version, entries, _moment(metadata.get("creationTimestamp")))
        case _:
            raise TargetInvalidError(f"the API answered with something that is no ConfigMap {NAME}")


def _moment(text: object) -> datetime:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return _LONG_AGO


def _object(namespace: str, entries: Mapping[str, str]) -> Mapping[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": NAME,
            "namespace": namespace,
            "labels": {"app.kubernetes.io/name": "elasti", "app.kubernetes.io/component": "switches"},
        },
        "data": entries,
    }
