"""A policy counts as deleted only when the listing that lacks it was whole."""

import os
from pathlib import Path

import pytest
import structlog

from consumer.ports import PolicyGone
from tests.adapters.policy_texts import API, WEB, cooldown, document, read


async def test_a_directory_that_disappears_deletes_nothing_and_tells_why(tmp_path: Path) -> None:
    given, elsewhere = tmp_path / "policies", tmp_path / "elsewhere"
    given.mkdir()
    (given / "a.yaml").write_text(document("web", cooldown=60))
    (given / "b.yaml").write_text(document("api", cooldown=50))
    files = await read(given)
    gone = files.entries()[API].policy
    assert files.whole()
    given.rename(elsewhere)
    with structlog.testing.capture_logs() as logs:
        await files.read()
        await files.read()
    assert not files.whole()
    assert (cooldown(files), cooldown(files, API)) == (60, 50)
    (told,) = [entry for entry in logs if entry["event"] == "policy deletions held back"]
    assert str(given) in told["why"][0]
    # What really went while nobody could look is told once one can.
    (elsewhere / "b.yaml").unlink()
    elsewhere.rename(given)
    changes = files.changes()
    await files.read()
    assert files.whole()
    assert [await anext(changes), await anext(changes)] == [
        PolicyGone(API, gone),
        files.entries()[WEB],
    ]
    assert files.entries()[WEB].problems == ()


@pytest.mark.parametrize("broken", ["a: [", "", "kind: ElastiService\nmetadata: {name: x, namespace: shop}\nspec: 5\n"])
async def test_while_a_file_says_nothing_readable_no_other_policy_is_deleted(tmp_path: Path, broken: str) -> None:
    (tmp_path / "broken.yaml").write_text(broken)
    other = tmp_path / "web.yaml"
    other.write_text(document("web"))
    files = await read(tmp_path)
    assert not files.whole()
    changes = files.changes()
    other.unlink()
    await files.read()
    assert (await anext(changes)) == files.entries()[WEB]
    assert files.entries()[WEB].problems
    (tmp_path / "broken.yaml").unlink()
    await files.read()
    assert isinstance(await anext(changes), PolicyGone)
    assert files.entries() == {}
    assert files.whole()


async def test_a_renamed_service_has_not_two_policies_while_another_file_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(document("web", name="old"))
    files = await read(tmp_path)
    (tmp_path / "b.yaml").write_text("a: [")
    path.write_text(document("web", name="new", cooldown=30))
    await files.read()
    assert not files.whole()
    assert cooldown(files) == 30


async def test_an_invalid_document_that_names_its_service_hides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(document("web", cooldown=-1))
    files = await read(path)
    assert files.whole()


async def test_a_link_that_leads_nowhere_hides_a_policy(tmp_path: Path) -> None:
    inside = tmp_path / "policies"
    inside.mkdir()
    link = inside / "a.yaml"
    link.symlink_to(tmp_path / "nowhere")
    files = await read(inside)
    assert not files.whole()
    await files.read(thorough=False)
    assert not files.whole()
    link.unlink()
    await files.read()
    assert files.whole()


async def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml")
    files = await read(tmp_path, tmp_path / "a.yaml")
    assert (files.entries(), files.whole()) == ({}, True)
