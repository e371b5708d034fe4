"""Secrets in memory: the fast twin of what an API server keeps for policies."""

from consumer.ports import TargetError, TargetGoneError


class MemorySecrets:
    """Implements `ports.Secrets`; tests write and delete, and let the API fail.

    `read_from` holds every read of the API; what was read is kept until it is distrusted, as the real one does.
    """

    def __init__(self) -> None:
        self.read_from: list[tuple[str, str]] = []
        self.failure: TargetError | None = None
        self._there: dict[tuple[str, str], dict[str, str]] = {}
        self._kept: dict[tuple[str, str], dict[str, str]] = {}

    async def read(self, namespace: str, name: str, key: str) -> str:
        """Return the value."""
        place = (namespace, name)
        if place not in self._kept:
            self.read_from.append(place)
            if self.failure is not None:
                raise self.failure
            if place not in self._there:
                raise TargetGoneError(f'there is no Secret {namespace}/{name}; create it with the key "{key}"')
            self._kept[place] = self._there[place]
        if key not in self._kept[place]:
            raise TargetGoneError(f'Secret {namespace}/{name} has no key "{key}"; add it')
        return self._kept[place][key]

    def distrust(self, namespace: str, name: str) -> None:
        """Look at it anew when it is read next."""
        self._kept.pop((namespace, name), None)

    def write(self, namespace: str, name: str, values: dict[str, str]) -> None:
        """Somebody writes a Secret."""
        self._there[namespace, name] = dict(values)
