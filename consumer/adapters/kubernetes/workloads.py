"""What of a workload is of interest: a few numbers and a name out of an object of many kilobytes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from sys import intern
from typing import NamedTuple

from consumer.ports import TargetKey, TargetView


@dataclass(frozen=True, slots=True)
class Sketch:
    """A workload as its object shows it; `replicas` None: they are somewhere else in it, only `/scale` can tell.

    `owner` set the replicas last, as far as the object says so; `editor` last changed its scale, or the object.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    version: str
    replicas: int | None
    ready: int | None
    owner: str | None
    editor: str | None

    def view(self, key: TargetKey, now: datetime, scale: "Scale | None" = None) -> TargetView:
        """Return the view of it; what the object does not tell is taken from its scale."""
        replicas = self.replicas if self.replicas is not None else scale.replicas if scale else 0
        ready = self.ready if self.ready is not None else scale.present if scale else 0
        return TargetView(
            key=key,
            uid=self.uid,
            generation=self.generation,
            resource_version=self.version,
            replicas=replicas,
            ready=ready,
            at=now,
            # A zero through /scale is nobody's: the field is left out there, and who is not named did not write it.
            manager=self.owner or (self.editor if replicas else None),
        )


@dataclass(frozen=True, slots=True)
class Scale:
    """A Scale object; the API leaves its replicas out when they are none. `present`: the pods that there are."""

    uid: str
    version: str
    replicas: int
    present: int


def sketch(content: object) -> Sketch | None:
    """Read an object; None when it is none that can be scaled."""
    match content:
        case {"metadata": {"namespace": str(namespace), "name": str(name), "uid": str(uid)} as metadata}:
            spec, status = _within(content, "spec"), _within(content, "status")
            owner, editor = _hands(metadata.get("managedFields"))
            return Sketch(
                namespace=intern(namespace),
                name=name,
                uid=uid,
                generation=_number(metadata, "generation") or 0,
                version=str(metadata.get("resourceVersion", "")),
                replicas=_number(spec, "replicas"),
                ready=_ready(status, spec),
                owner=owner,
                editor=editor,
            )
        case _:
            return None


def scale_of(content: object) -> Scale | None:
    """Read a Scale object; None when it is none."""
    match content:
        case {"metadata": {"uid": str(uid), "resourceVersion": str(version)}}:
            spec, status = _within(content, "spec"), _within(content, "status")
            return Scale(uid, version, _number(spec, "replicas") or 0, _number(status, "replicas") or 0)
        case _:
            return None


def _ready(status: Mapping[str, object], spec: Mapping[str, object]) -> int | None:
    """The ready pods; kinds that count none leave it to their scale, those that count leave a zero out."""
    for name in ("readyReplicas", "availableReplicas"):
        if (number := _number(status, name)) is not None:
            return number
    # Deployments and their like say `replicas` in both places; they would have said how many are ready.
    return 0 if "replicas" in spec else None


def _hands(entries: object) -> tuple[str | None, str | None]:
    """Who owns the replicas, of several the one with the latest time; and who last changed the scale, or the object."""
    owners = list(_owners(entries))
    sure = max((owner for owner in owners if owner.owns_replicas), key=lambda owner: owner.time, default=None)
    latest = max(owners, key=lambda owner: (owner.scaled, owner.time), default=None)
    return intern(sure.name) if sure else None, intern(latest.name) if latest else None


class _Owner(NamedTuple):
    """Somebody who changed something."""

    owns_replicas: bool
    scaled: bool
    time: str
    name: str


def _owners(entries: object) -> Iterator[_Owner]:
    for entry in entries if isinstance(entries, list) else ():
        match entry:
            case {"subresource": "status"}:
                continue
            case {"manager": str(name)}:
                fields = _within(_within(entry, "fieldsV1"), "f:spec")
                scaled = entry.get("subresource") == "scale"
                yield _Owner("f:replicas" in fields, scaled, str(entry.get("time", "")), name)
            case _:
                continue


def _within(content: object, name: str) -> Mapping[str, object]:
    match content:
        case {**fields} if isinstance(inner := fields.get(name), dict):
            return inner
        case _:
            return {}


def _number(fields: Mapping[str, object], name: str) -> int | None:
    value = fields.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
