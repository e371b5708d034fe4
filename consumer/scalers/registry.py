"""Which scaler types there are: the built-in ones, and plug-ins found through their entry points."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from consumer.core.policy import Trigger
from consumer.ports import Scaler
from consumer.scalers.contract import Assignment, Defaults, Faults, ScalerType
from consumer.scalers.prometheus import PROMETHEUS
from consumer.scalers.request_count import REQUEST_COUNT

GROUP: Final = "elasti.scalers"
"""The entry-point group in which a plug-in names its scaler types."""

BUILT_IN: Final[Mapping[str, ScalerType]] = {"prometheus": PROMETHEUS, "request-count": REQUEST_COUNT}
"""Known without an installation; a plug-in can not take one of these names."""


class ScalerTypeError(Exception):
    """There is no usable scaler type for a trigger; the message says which are known, or what is broken."""


def _installed() -> Iterable[EntryPoint]:
    return entry_points(group=GROUP)


class Registry:
    """The scaler types by name; a plug-in is imported when a trigger first names it."""

    def __init__(
        self, defaults: Defaults | None = None, *, installed: Callable[[], Iterable[EntryPoint]] = _installed
    ) -> None:
        self.defaults = defaults or Defaults()
        # Two packages with one name: the first by module path, so that every process chooses the same.
        plugins = sorted(installed(), key=lambda point: point.value, reverse=True)
        self._plugins = {point.name: point for point in plugins if point.name not in BUILT_IN}
        self._loaded: dict[str, ScalerType | ScalerTypeError] = dict(BUILT_IN)

    def names(self) -> tuple[str, ...]:
        """Every known type, sorted."""
        return tuple(sorted({*BUILT_IN, *self._plugins}))

    def check(self, trigger: Trigger) -> Faults:
        """Say what is wrong with a trigger, in the words of its type; implements `TriggerCheck`."""
        try:
            return tuple(self._type(trigger.type).check(trigger, self.defaults))
        except ScalerTypeError as problem:
            return (("type", str(problem)),)
        except Exception as error:  # noqa: BLE001 - a plug-in may raise anything
            return (("type", f"the check of the scaler type {trigger.type!r} failed: {_told(error)}"),)

    def window(self, trigger: Trigger) -> timedelta | None:
        """Tell how long a window of requests the trigger needs; None for what can not be judged anyway."""
        try:
            return self._type(trigger.type).window(trigger)
        except Exception:  # noqa: BLE001 - a broken plug-in is reported by `check` and at each sweep
            return None

    def create(self, assignment: Assignment) -> Scaler:
        """Make the scaler of a trigger; raises ScalerTypeError."""
        name = assignment.trigger.type
        made = self._type(name)
        try:
            return made.create(assignment)
        except Exception as error:
            raise ScalerTypeError(f"the scaler type {name!r} refused the trigger: {_told(error)}") from error

    def _type(self, name: str) -> ScalerType:
        found = self._loaded.get(name)
        if found is None and name in self._plugins:
            found = self._loaded[name] = _load(self._plugins[name])
        if found is None:
            known = ", ".join(self.names())
            raise ScalerTypeError(f"unknown scaler type {name!r}; known are: {known}")
        if isinstance(found, ScalerTypeError):
            raise found
        return found


def _load(point: EntryPoint) -> ScalerType | ScalerTypeError:
    """A plug-in that is broken costs only the policies that name it."""
    try:
        loaded = point.load()
        made: ScalerType = loaded() if isinstance(loaded, type) else loaded
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything when it is imported
        return ScalerTypeError(f"the plug-in for {point.name!r} ({point.value}) can not be loaded: {_told(error)}")
    missing = [name for name in ("check", "create", "window") if not callable(getattr(made, name, None))]
    if missing:
        return ScalerTypeError(f"the plug-in for {point.name!r} ({point.value}) lacks {', '.join(missing)}")
    return made


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:300]
