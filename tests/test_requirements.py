"""What is installed: every version locked by its hashes, from no address of our own, declared, and of use."""

import ast
import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "requirements").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOADED_BY_OTHERS = {
    "cramjam": "aiokafka reads compressed batches with it",
    "tzdata": "zoneinfo takes the zones from it where the system has none",
}
_HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Locked:
    """One entry of a locked file."""

    requirement: Requirement
    hashes: tuple[str, ...]


def locked(file: Path) -> Mapping[str, Locked]:
    entries = file.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    found: dict[str, Locked] = {}
    for entry in entries:
        hashes = tuple(_HASH.findall(entry))
        requirement = Requirement(_HASH.sub("", entry).strip())
        found[canonicalize_name(requirement.name)] = Locked(requirement, hashes)
    return found


def declared(*extras: str) -> Mapping[str, Requirement]:
    optional = PROJECT["optional-dependencies"]
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in optional[extra])]
    return {canonicalize_name(each.name): each for each in map(Requirement, texts)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_version_is_one_and_known_by_its_hashes(file: Path) -> None:
    """An entry that is no requirement (an option, an address) can not be read, and fails here."""
    found = locked(file)
    assert found
    for name, each in found.items():
        (only,) = each.requirement.specifier
        assert only.operator == "==", name
        assert each.hashes, name
        assert each.requirement.url is None, name


def test_what_runs_is_what_is_tested() -> None:
    runs, tested = (locked(ROOT / "requirements" / name) for name in ("run.txt", "dev.txt"))
    assert {name: str(each.requirement.specifier) for name, each in runs.items()} == {
        name: str(tested[name].requirement.specifier) for name in runs
    }


@pytest.mark.parametrize(("file", "extras"), [("run.txt", ["uvloop"]), ("dev.txt", ["uvloop", "dev", "bed"])])
def test_what_is_declared_is_locked_at_a_version_that_fits(file: str, extras: list[str]) -> None:
    found = locked(ROOT / "requirements" / file)
    for name, wanted in declared(*extras).items():
        (only,) = found[name].requirement.specifier
        assert wanted.specifier.contains(only.version), f"{wanted} is locked at {only.version}; run make lock"


def imported() -> set[str]:
    """The distributions that our code imports from."""
    modules: set[str] = set()
    for file in (each for folder in ("consumer", "schemas") for each in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module.partition(".")[0])
    known = packages_distributions()
    strange = modules - sys.stdlib_module_names - {"consumer", "schemas"}
    return {canonicalize_name(known[module][0]) for module in strange}


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    """A dependency of a dependency may go with any new version of it; one that nobody uses can only do harm."""
    ours, used = set(declared()), imported()
    assert used - ours - set(declared("uvloop", "bed")) == set()
    assert ours - used == set(LOADED_BY_OTHERS)


def test_every_go_module_that_is_built_is_known_by_its_hashes() -> None:
    modules = sorted((ROOT / "consumer" / "adapters" / "control_plane" / "gomod").glob("*/go.mod"))
    assert modules
    assert [each.parent.name for each in modules if not each.with_name("go.sum").exists()] == []


def test_nothing_is_installed_without_its_hashes() -> None:
    """But for this project itself, which comes without any dependency."""
    for name in ("Makefile", "Dockerfile"):
        lines = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
        installs = [line for line in lines if re.search(r"(pip install|^PIP\w* :=)", line)]
        assert installs
        assert [line for line in installs if "--require-hashes" not in line and "--no-deps" not in line] == []
