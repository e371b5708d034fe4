"""Which kinds the cluster knows, and whether they can be scaled: asked once for each, and again for what is unknown."""

from dataclasses import dataclass

from consumer.adapters.kubernetes.api import Api
from consumer.core.service import TargetRef
from consumer.ports import TargetGoneError, TargetUnknownError


@dataclass(frozen=True, slots=True, order=True)
class Kind:
    """One kind of object as its API names it: `apps/v1`, `Deployment`, `deployments`."""

    api_version: str
    kind: str
    plural: str

    @property
    def root(self) -> str:
        """Where its group and version are in the API."""
        return _root(self.api_version)

    def collection(self, namespace: str = "") -> str:
        """The path of all of them, or of those of one namespace."""
        within = f"/namespaces/{namespace}" if namespace else ""
        return f"{self.root}{within}/{self.plural}"


class Discovery:
    """What the API says of its kinds; an answer is kept, a kind that was not there is asked for again."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._known: dict[tuple[str, str], Kind] = {}

    async def kind(self, ref: TargetRef) -> Kind:
        """Return the kind of a target; TargetUnknownError when there is none, or none that can be scaled."""
        known = self._known.get((ref.api_version, ref.kind))
        if known is not None:
            return known
        for plural, subresources in (await self._kinds(ref)).items():
            if "scale" in subresources:
                found = self._known[ref.api_version, ref.kind] = Kind(ref.api_version, ref.kind, plural)
                return found
        raise TargetUnknownError(
            f"{ref.kind} of {ref.api_version} can not be scaled: the cluster knows no such kind with a scale "
            "subresource; install it, or correct scaleTargetRef"
        )

    async def _kinds(self, ref: TargetRef) -> dict[str, set[str]]:
        """Return the plurals under which the kind is known, each with its subresources."""
        try:
            answer = await self._api.get(_root(ref.api_version))
        except TargetGoneError:
            return {}
        resources = answer.get("resources") if isinstance(answer, dict) else None
        named = [each for each in map(_named, resources if isinstance(resources, list) else ()) if each is not None]
        plurals = {plural for plural, subresource, kind in named if kind == ref.kind and not subresource}
        return {plural: {sub for owner, sub, _ in named if owner == plural and sub} for plural in plurals}


def _named(resource: object) -> tuple[str, str, str] | None:
    """Return plural, subresource and kind of what the API lists; None for what is in no namespace."""
    match resource:
        case {"name": str(name), "kind": str(kind), "namespaced": True}:
            plural, _, subresource = name.partition("/")
            return plural, subresource, kind
        case _:
            return None


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
