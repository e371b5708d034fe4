"""What the pages name is there: files, tests by their names, tasks, commands, links, and where links lead."""

import re
from pathlib import Path

import pytest

from consumer.cli import COMMANDS

ROOT = Path(__file__).parents[1]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
GUARANTEES = ROOT / "docs" / "guarantees.md"
FOLDERS = ("tests", "consumer", "schemas", "bench", "docs", "k8s", "charts", "examples", "requirements")
_CODE = re.compile(r"`([^`\n]+)`")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_TEST = re.compile(r"^(?:async )?def (test_\w+)|^ +(?:async )?def (test_\w+)", re.MULTILINE)


def named(page: Path) -> list[str]:
    """What stands in backticks outside of blocks of code."""
    return _CODE.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))


def promises() -> list[tuple[str, str]]:
    """The first table: each promise, and what holds it."""
    lines = GUARANTEES.read_text(encoding="utf-8").partition("\n## ")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert all(len(row) == 3 for row in rows)
    return [(row[0], row[2]) for row in rows[2:]]


def names_in(file: Path) -> set[str]:
    return {name for found in _TEST.findall(file.read_text(encoding="utf-8")) for name in found if name}


def anchors(page: Path) -> set[str]:
    """Where links within a page may lead, as GitHub makes them of its headings."""
    headings = _HEADING.findall(_FENCE.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_path(text: str) -> bool:
    return text.split("/", 1)[0] in FOLDERS and "/" in text and not re.search(r"[\s<>{}$=]", text)


@pytest.mark.parametrize(("promise", "held"), promises(), ids=lambda text: text[:40])
def test_every_promise_names_a_test_that_is_there(promise: str, held: str) -> None:
    found = [text for text in _CODE.findall(held) if "::" in text]
    assert found, f"{promise}: name at least one test, as `tests/….py::test_…`"
    for text in found:
        path, _, name = text.partition("::")
        assert name in names_in(ROOT / path), f"{promise}: {path} has no {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_page_names_is_there(page: Path) -> None:
    paths = {text.partition("::")[0] for text in named(page) if is_path(text)}
    assert {path for path in paths if not list(ROOT.glob(path.rstrip("/")))} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_task_command_and_module_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    tasks = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`(?:nice )?make ([a-z]+)", text)) <= tasks
    assert set(re.findall(r"`elasti ([a-z]+)", text)) <= set(COMMANDS)
    modules = {each.replace(".", "/") for each in re.findall(r"python -m ((?:bench|tests|consumer)[\w.]*)", text)}
    assert {each for each in modules if not ((ROOT / f"{each}.py").exists() or (ROOT / each).is_dir())} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in _LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
