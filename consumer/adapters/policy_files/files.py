"""The files themselves: found, read again when they change, and what was last valid in each."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import structlog
from watchfiles import awatch

from consumer.adapters.policy_files.documents import Document, read
from consumer.adapters.policy_files.listing import find
from consumer.core.conflicts import Standing
from consumer.core.policy import Policy, Trigger
from consumer.core.service import ServiceKey
from consumer.elastiservice import (
    Followers,
    Known,
    ResourceText,
    differences,
    entries_of,
    key_of,
    policy_from,
    shareable,
)
from consumer.ports import PolicyEntry, PolicyGone, Problem, TriggerCheck

log = structlog.get_logger(__name__)

_SETTLE = 400
"""Milliseconds that a burst of changes is collected for: editors write in several steps."""
_LOOK_AGAIN = 10_000
"""Milliseconds after which the files are looked at even though no change was reported."""

_NO_SECRETS = (
    "names a Secret, and files have none; write values in headers and a CA in tls.caFile, or apply the resource to a "
    "cluster and run without --policies"
)

_Name = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _File:
    """One file: what could last be read of it, and what keeps its newest content from being read, if anything."""

    digest: bytes = b""
    resources: tuple[Known, ...] = ()
    notices: tuple[str, ...] = ()
    trouble: Problem | None = None
    stamp: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """Everything that one look at the files gave; `resources` are with their last valid content.

    `hidden` says why a policy that was not found may be there all the same.
    """

    files: Mapping[Path, _File]
    resources: Mapping[_Name, Known]
    entries: Mapping[ServiceKey, PolicyEntry]
    standing: Standing
    problems: tuple[Problem, ...]
    hidden: tuple[Problem, ...] = ()

    def notices(self) -> tuple[str, ...]:
        return tuple(notice for file in self.files.values() for notice in file.notices)


class PolicyFiles:
    """Implements `ports.Policies`; `run` must be running for changes to be seen, `read` looks once.

    `namespaces`: resources of all others are somebody else's affair and not looked at (empty: all are ours).
    `for_cluster`: they are only looked over before they are applied, so that Secrets may be named.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        check: TriggerCheck,
        *,
        namespaces: Collection[str] = (),
        for_cluster: bool = False,
    ) -> None:
        self._paths = tuple(paths)
        self._check = check if for_cluster else _without_secrets(check)
        self._namespaces = frozenset(namespaces)
        self._known = _Known({}, {}, {}, Standing.of(()), ())
        self._listed = asyncio.Event()
        self._reading = asyncio.Lock()
        self._followers = Followers()

    async def run(self) -> None:
        """Read, then read again at each change, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for path in self._paths:
                tasks.create_task(self._follow(*_watched(path)))
            # One turn of the loop and the watches exist: what changes during the first read is reported then.
            await asyncio.sleep(0)
            await self.read()

    async def _follow(self, path: Path, recursive: bool) -> None:  # noqa: FBT001 - the two belong together
        async for changed in awatch(
            path,
            watch_filter=None,
            debounce=_SETTLE,
            rust_timeout=_LOOK_AGAIN,
            yield_on_timeout=True,
            recursive=recursive,
        ):
            await self.read(thorough=bool(changed))

    async def read(self, *, thorough: bool = True) -> None:
        """Look at all files now and tell followers what differs; not `thorough`: only at those with a new stamp."""
        async with self._reading:
            before = self._known
            # Parsing 10,000 documents takes seconds: not on the event loop.
            look = partial(_look, self._paths, before, self._check, thorough=thorough, namespaces=self._namespaces)
            self._known = await asyncio.to_thread(look)
        self._listed.set()
        for change in differences(before.entries, self._known.entries):
            self._followers.tell(change)
        for notice in sorted({*self._known.notices()} - {*before.notices()}):
            log.info("policy file notice", notice=notice)
        for problem in (problem for problem in self._known.problems if problem not in before.problems):
            log.warning("policy problem", where=problem.where, field=problem.field, problem=problem.message)
        if self._known.hidden and self._known.hidden != before.hidden:
            log.warning("policy deletions held back", why=[str(problem) for problem in self._known.hidden])

    async def listed(self) -> None:
        """Return once the files were read for the first time."""
        await self._listed.wait()

    def entries(self) -> Mapping[ServiceKey, PolicyEntry]:
        """All services that a policy names; while they are not whole, also those that it named last."""
        return self._known.entries

    def whole(self) -> bool:
        """Whether everything could be read: only then is a policy that is not there a deleted one."""
        return not self._known.hidden

    def conflict(self, policy: Policy) -> ServiceKey | None:
        """The older policy that names the same service or target, if there is one."""
        return self._known.standing.conflict(policy)

    def changes(self) -> AsyncIterator[PolicyEntry | PolicyGone]:
        """Yield each change from this call on; of several unread ones of a service the last."""
        return self._followers.follow()

    def resources(self) -> Mapping[ServiceKey, ResourceText]:
        """The resources of the policies in force; for the gateway's `Resources`."""
        return {
            resource.policy.key: resource.text
            for resource in self._known.resources.values()
            if resource.policy and self._known.standing.in_force[resource.policy.key] is resource.policy
        }

    def problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong in any file, also where no service can be told."""
        return self._known.problems

    def notices(self) -> tuple[str, ...]:
        """What was found in the files and is none of our business."""
        return self._known.notices()


def _without_secrets(check: TriggerCheck) -> TriggerCheck:
    def checked(trigger: Trigger) -> Sequence[tuple[str, str]]:
        naming = [name for name, value in trigger.metadata if '"secretKeyRef"' in value]
        return [*check(trigger), *((f"metadata.{name}", _NO_SECRETS) for name in naming)]

    return checked


def _watched(path: Path) -> tuple[Path, bool]:
    """Return what to watch and whether with all below it; a file through its folder, which sees it replaced."""
    if path.is_dir():
        return path, True
    return next(above for above in path.absolute().parents if above.is_dir()), False


def _look(
    paths: Sequence[Path], before: _Known, check: TriggerCheck, *, thorough: bool, namespaces: Collection[str]
) -> _Known:
    found, problems = find(paths)
    hidden = list(problems)
    files: dict[Path, _File] = {}
    for path in found:
        last = before.files.get(path) or _File()
        stamp = _stamp(path)
        same = stamp is not None and stamp == last.stamp and not thorough
        files[path] = last if same else replace(_file(path, last, check), stamp=stamp)
    resources: dict[_Name, Known] = {}
    for file in files.values():
        trouble = (file.trouble,) if file.trouble else ()
        problems += trouble
        hidden += trouble
        for resource in file.resources:
            if namespaces and resource.name[0] not in namespaces:
                continue
            problems += resource.problems
            last_valid = _in_force(resource, file.trouble, before.resources)
            first = resources.setdefault(resource.name, last_valid)
            if first.where != resource.where:
                problems.append(_twice(resource, first.where))
            # What is invalid and names no service may be the policy of any.
            hidden += () if last_valid.key else resource.problems
    if hidden:
        for kept in _kept(resources.values(), before.resources, hidden[0]):
            resources[kept.name] = kept
    standing = Standing.of(resource.policy for resource in resources.values() if resource.policy)
    entries = entries_of(resources.values())
    return _Known(files, resources, entries, standing, tuple(problems), tuple(hidden))


def _kept(found: Collection[Known], before: Mapping[_Name, Known], trouble: Problem) -> Sequence[Known]:
    """Return what is not found any more, and may yet be where nobody can look."""
    names, keys = {resource.name for resource in found}, {resource.key for resource in found}
    lost = [last for name, last in before.items() if name not in names and last.key not in keys]
    return [last if trouble in last.problems else replace(last, problems=(trouble,)) for last in lost]


def _in_force(resource: Known, trouble: Problem | None, before: Mapping[_Name, Known]) -> Known:
    """Return the resource with its last valid content, and with the trouble of its file among its problems."""
    problems = (*resource.problems, trouble) if trouble else resource.problems
    last = before.get(resource.name)
    if resource.policy or last is None or last.policy is None:
        return replace(resource, problems=problems)
    return replace(resource, key=last.policy.key, policy=last.policy, text=last.text, problems=problems)


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino


def _file(path: Path, last: _File, check: TriggerCheck) -> _File:
    try:
        content = path.read_bytes()
        text = content.decode()
    except (OSError, UnicodeDecodeError) as error:
        trouble = Problem(str(path), "", f"can not be read ({error}); make it readable UTF-8 text")
        return replace(last, digest=b"", trouble=trouble)
    digest = sha256(content).digest()
    if digest == last.digest:
        return last
    if not text.strip():
        # An editor that is about to write, or a disk that is full; whoever means it deletes the file.
        kept = Problem(str(path), "", "is empty, so its policies stay as they were; delete the file to end them")
        return replace(last, digest=digest, trouble=kept)
    reading = read(str(path), text)
    if isinstance(reading, Problem):
        return replace(last, digest=digest, trouble=reading)
    resources = tuple(_resource(document, check) for document in reading.documents)
    return _File(digest, resources, reading.notices)


def _resource(document: Document, check: TriggerCheck) -> Known:
    result = policy_from(document.content, where=document.locate, check=check)
    policy, problems = (result, ()) if isinstance(result, Policy) else (None, result)
    return Known(
        name=_name(document),
        key=key_of(document.content),
        where=document.locate(()),
        policy=policy,
        text=shareable(document.content),
        problems=problems,
    )


def _name(document: Document) -> _Name:
    metadata = document.content.get("metadata")
    named = metadata if isinstance(metadata, dict) else {}
    # A document without a name is its own place.
    place = document.locate(())
    return (str(named.get("namespace", "")), str(named["name"])) if named.get("name") else ("", place)


def _twice(resource: Known, first: str) -> Problem:
    return Problem(resource.where, "metadata.name", f"is already used at {first}; write another name, or delete one")
