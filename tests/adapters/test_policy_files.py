"""Policies from files, on real files: problems with their line, the last valid version, and live changes."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from consumer.adapters.policy_files import PolicyFiles
from consumer.core.service import ServiceKey
from consumer.ports import PolicyEntry, PolicyGone
from tests.adapters.policy_texts import API, WEB, check, cooldown, document, read


async def test_files_directories_and_several_documents_are_read(tmp_path: Path) -> None:
    inside = tmp_path / "policies" / "team"
    inside.mkdir(parents=True)
    (inside / "two.yaml").write_text(f"{document('web')}---\n---\n{document('api')}")
    (inside / "notes.txt").write_text(document("ignored"))
    (inside / ".hidden.yaml").write_text(document("ignored"))
    one = tmp_path / "named-without-a-suffix"
    one.write_text(document("ftp"))
    files = await read(tmp_path / "policies", one, one)
    assert set(files.entries()) == {WEB, API, ServiceKey("shop", "ftp")}
    assert files.problems() == ()
    await files.listed()


async def test_lists_are_opened_and_other_kinds_are_told_and_ignored(tmp_path: Path) -> None:
    indented = "".join(f"    {line}\n" for line in document("web").splitlines())
    path = tmp_path / "all.yaml"
    path.write_text(f"kind: List\nitems:\n  -\n{indented}  - kind: Service\n---\nkind: ConfigMap\n---\n- 1\n---\n5\n")
    files = await read(path)
    assert set(files.entries()) == {WEB}
    assert files.problems() == ()
    assert [notice.split(": ", 1)[1] for notice in files.notices()] == [
        "a Service, not an ElastiService; ignored",
        "a ConfigMap, not an ElastiService; ignored",
        "no resource (it has no kind), not an ElastiService; ignored",
        "no resource (it has no kind), not an ElastiService; ignored",
    ]


async def test_times_stay_text_and_names_that_look_like_numbers_stay_names(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        document("web").replace(
            "  name: web\n", "  name: web\n  creationTimestamp: 2026-01-02T03:04:05Z\n  labels: {1: a}\n", 1
        )
    )
    files = await read(path)
    policy = files.entries()[WEB].policy
    assert policy is not None
    assert policy.created_at.isoformat() == "2026-01-02T03:04:05+00:00"


async def test_every_problem_has_file_line_and_field(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        document("api")
        + "---\n"
        + document("web", cooldown="soon").replace("type: prometheus", "type: cron").replace("    name: web\n", "")
    )
    problems = {problem.field: problem.where for problem in (await read(path)).problems()}
    first = len(document("api").splitlines()) + 1
    assert problems == {
        "spec.cooldownPeriod": f"{path}:{first + 8}",
        "spec.scaleTargetRef.name": f"{path}:{first + 9}",
        "spec.triggers[0].type": f"{path}:{first + 13}",
    }


async def test_an_invalid_document_keeps_its_last_valid_version(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(document("web", cooldown=60))
    files = await read(path)
    path.write_text(document("web", cooldown=-1))
    await files.read()
    entry = files.entries()[WEB]
    assert cooldown(files) == 60
    assert [problem.field for problem in entry.problems] == ["spec.cooldownPeriod"]
    path.write_text(document("web", cooldown=30))
    await files.read()
    assert cooldown(files) == 30
    assert files.entries()[WEB].problems == ()


async def test_a_document_that_was_never_valid_is_known_by_its_service(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(document("web", cooldown=-1))
    files = await read(path)
    entry = files.entries()[WEB]
    assert entry.policy is None
    assert len(entry.problems) == 1


async def test_a_document_that_names_no_service_is_a_problem_without_an_entry(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("kind: ElastiService\n---\nkind: ElastiService\nmetadata: 5\n")
    files = await read(path)
    assert files.entries() == {}
    assert "spec.service" in [problem.field for problem in files.problems()]


async def test_a_syntax_error_in_one_file_leaves_the_others_working(tmp_path: Path) -> None:
    broken, sound = tmp_path / "a.yaml", tmp_path / "b.yaml"
    broken.write_text(document("web", cooldown=60))
    sound.write_text(document("api", cooldown=60))
    files = await read(tmp_path)
    broken.write_text(document("web", cooldown=10) + "  this: [is\n")
    sound.write_text(document("api", cooldown=10))
    await files.read()
    assert (cooldown(files, WEB), cooldown(files, API)) == (60, 10)
    (problem,) = files.problems()
    assert problem.where.startswith(f"{broken}:")
    assert "is not valid YAML" in problem.message
    assert files.entries()[WEB].problems == (problem,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "not valid YAML"),
        ("a: 1\na: 2\n", '"a" is written twice'),
        ("? [a, b]\n: 1\n", "a name must be text"),
        ("a: *nowhere\n", "undefined alias"),
        ("a: !!python/object:os.system {}\n", "could not determine a constructor"),
        ("a: \x00", "not valid YAML"),
        ("a: !!int many", "not valid YAML"),
        ("a: !!bool perhaps", "not valid YAML"),
        ("a: " + "9" * 5_000, "not valid YAML"),
        ("a: " + "[" * 5_000 + "]" * 5_000, "not valid YAML"),
    ],
)
async def test_what_is_not_plain_yaml_is_a_problem_of_its_file(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    (problem,) = (await read(path)).problems()
    assert problem.where.startswith(str(path))
    assert said in problem.message


async def test_a_file_that_is_no_text_and_one_that_is_absent_are_told(tmp_path: Path) -> None:
    path, absent = tmp_path / "a.yaml", tmp_path / "absent.yaml"
    path.write_bytes(b"\xff\xfe")
    files = await read(path, absent)
    assert [(problem.where, problem.message.split(" (")[0]) for problem in files.problems()] == [
        (str(absent), "does not exist; name a file or a directory with ElastiService resources"),
        (str(path), "can not be read"),
    ]


async def test_an_emptied_file_ends_nothing_but_a_deleted_one_does(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(document("web"))
    files = await read(tmp_path)
    path.write_text("")
    await files.read()
    assert cooldown(files) == 60
    assert "delete the file" in files.problems()[0].message
    path.unlink()
    await files.read()
    assert files.entries() == {}
    assert files.problems() == ()


async def test_aliases_and_merges_are_followed_but_not_into_themselves(tmp_path: Path) -> None:
    merged, looped = tmp_path / "a.yaml", tmp_path / "b.yaml"
    merged.write_text(document("web").replace("kind: deployments", "<<: {kind: StatefulSet}"))
    looped.write_text(
        document("api").replace("metadata:\n        q", "metadata: &loop\n        again: *loop\n        q")
    )
    files = await read(tmp_path)
    policy = files.entries()[WEB].policy
    assert policy is not None
    assert policy.target.kind == "StatefulSet"
    (problem,) = files.problems()
    assert problem.where == f"{looped}:15"
    assert "recursive" in problem.message


async def test_odd_values_harm_nobody(tmp_path: Path) -> None:
    odd = f"{2**70}\n        when: !!timestamp never\n        query"
    (tmp_path / "a.yaml").write_text(document("web").replace("query", f"big: {odd}"))
    files = await read(tmp_path)
    policy = files.entries()[WEB].policy
    assert policy is not None, files.problems()
    assert policy.triggers[0].named()["big"] == str(2**70)
    assert policy.triggers[0].named()["when"] == "never"
    assert files.resources()[WEB].spec


async def test_one_name_in_two_places_is_told_and_the_first_place_counts(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(document("web", cooldown=1))
    second.write_text(document("api", name="web", cooldown=2))
    files = await read(tmp_path)
    assert set(files.entries()) == {WEB}
    (problem,) = files.problems()
    assert (problem.where, problem.field) == (f"{second}:1", "metadata.name")
    assert f"{first}:1" in problem.message


async def test_the_older_of_two_policies_for_a_service_is_in_force(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(document("web", name="b", cooldown=1))
    (tmp_path / "b.yaml").write_text(document("web", name="a", cooldown=2))
    (tmp_path / "c.yaml").write_text(document("api", name="c", target="web"))
    files = await read(tmp_path)
    assert cooldown(files) == 2
    in_force, other = files.entries()[WEB].policy, files.entries()[API].policy
    assert in_force is not None
    assert other is not None
    assert files.conflict(in_force) is None
    assert files.conflict(other) == WEB


async def test_a_renamed_service_is_one_gone_and_one_new(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(document("web", name="policy"))
    files = await read(path)
    before = files.entries()[WEB].policy
    changes = files.changes()
    path.write_text(document("api", name="policy"))
    await files.read()
    assert await anext(changes) == PolicyGone(WEB, before)
    assert await anext(changes) == files.entries()[API]


async def test_a_slow_follower_sees_the_last_of_several_changes(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    files = await read(tmp_path)
    slow = files.changes()
    for seconds in (1, 2, 3):
        path.write_text(document("web", cooldown=seconds))
        await files.read()
    assert await anext(slow) == files.entries()[WEB]
    late = files.changes()
    path.unlink()
    await files.read()
    assert [type(await anext(follower)) for follower in (slow, late)] == [PolicyGone, PolicyGone]


async def test_resources_of_namespaces_that_are_not_watched_are_somebody_elses(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    other = (
        document("api").replace("namespace: shop", "namespace: till").replace("cooldownPeriod: 60", "cooldownPeriod: x")
    )
    file.write_text(f"{document('web')}---\n{other}")
    ours = PolicyFiles((file,), check, namespaces=("shop",))
    await ours.read()
    assert list(ours.entries()) == [WEB]
    assert ours.problems() == ()
    everything = PolicyFiles((file,), check)
    await everything.read()
    assert {str(key) for key in everything.entries()} == {"shop/web", "till/api"}
    assert len(everything.problems()) == 1


@asynccontextmanager
async def running(*paths: Path) -> AsyncIterator[PolicyFiles]:
    """Follow real changes while the block runs."""
    files = PolicyFiles(paths, check)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(files.run())
        await files.listed()
        yield files
        task.cancel()


async def until(
    files: PolicyFiles, seen: Callable[[PolicyEntry | PolicyGone], bool], act: Callable[[], object]
) -> None:
    """Do something to the files and wait until a change says that it was seen."""
    changes = files.changes()
    act()
    async with asyncio.timeout(20):
        while not seen(await anext(changes)):
            pass


def now_at(seconds: float) -> Callable[[PolicyEntry | PolicyGone], bool]:
    def seen(change: PolicyEntry | PolicyGone) -> bool:
        policy = change.policy
        return isinstance(change, PolicyEntry) and policy is not None and policy.cooldown.total_seconds() == seconds

    return seen


def is_gone(change: PolicyEntry | PolicyGone) -> bool:
    return isinstance(change, PolicyGone)


async def test_a_written_a_replaced_a_new_and_a_deleted_file_are_seen_live(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(document("web", cooldown=60))
    async with running(tmp_path) as files:
        assert cooldown(files) == 60
        await until(files, now_at(50), lambda: path.write_text(document("web", cooldown=50)))

        def replace() -> None:
            # What editors do: write beside it, then put it in place.
            beside = tmp_path / "a.yaml~"
            beside.write_text(document("web", cooldown=40))
            beside.rename(path)

        await until(files, now_at(40), replace)
        new = tmp_path / "team" / "b.yaml"
        new.parent.mkdir()
        await until(files, now_at(30), lambda: new.write_text(document("api", cooldown=30)))
        await until(files, is_gone, path.unlink)
        assert set(files.entries()) == {API}


async def test_a_single_file_that_is_replaced_or_appears_later_is_seen_live(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    async with running(path) as files:
        assert [problem.where for problem in files.problems()] == [str(path)]
        await until(files, now_at(60), lambda: path.write_text(document("web", cooldown=60)))
        beside = tmp_path / "beside"
        beside.write_text(document("web", cooldown=40))
        await until(files, now_at(40), lambda: beside.rename(path))
        # A path that was given is missed, not taken for a deletion.
        await until(files, lambda change: isinstance(change, PolicyEntry) and bool(change.problems), path.unlink)
        assert cooldown(files) == 40
        assert not files.whole()


async def test_the_swap_of_a_mounted_configmap_is_seen_live(tmp_path: Path) -> None:
    def version(number: int, seconds: int) -> None:
        folder = tmp_path / f"..version-{number}"
        folder.mkdir()
        (folder / "a.yaml").write_text(document("web", cooldown=seconds))
        (tmp_path / "..data_tmp").symlink_to(folder.name)
        (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    version(1, 60)
    (tmp_path / "a.yaml").symlink_to(Path("..data") / "a.yaml")
    async with running(tmp_path) as files:
        assert cooldown(files) == 60
        assert set(files.entries()) == {WEB}
        await until(files, now_at(30), lambda: version(2, 30))


async def test_a_look_that_is_not_thorough_skips_only_what_has_its_old_stamp(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(document("web", cooldown=60))
    files = await read(tmp_path)
    await files.read(thorough=False)
    assert cooldown(files) == 60
    path.write_text(document("web", cooldown=3000))
    await files.read(thorough=False)
    assert cooldown(files) == 3000


async def test_the_resources_of_the_policies_in_force_can_be_shared(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(document("web", name="young", cooldown=1))
    (tmp_path / "b.yaml").write_text(document("web", name="first", cooldown=2))
    files = await read(tmp_path)
    (tmp_path / "b.yaml").write_text(document("web", name="first", cooldown=-1))
    await files.read()
    (text,) = files.resources().values()
    assert (text.name, json.loads(text.spec)["cooldownPeriod"]) == ("first", 2)
