"""`--help` of every command: examples, and at once."""

import subprocess
import sys

import pytest

from consumer.cli import COMMANDS
from tests.cli.conftest import Elasti

WORDS = [
    *((name,) for name in COMMANDS),
    *(("topics", name) for name in ("create", "verify")),
    *(("send", name) for name in ("request-count", "host")),
]

# What takes long to load, and nothing but work needs.
SLOW = ("aiokafka", "aiohttp", "kubernetes_asyncio", "jgo", "promql_parser")

WHICH_ARE_LOADED = f"""
import sys
from consumer.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    code = end.code
print("loaded:", [name for name in {SLOW!r} if name in sys.modules], file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_every_command_has_examples(elasti: Elasti, words: tuple[str, ...]) -> None:
    said = elasti(*words, "--help")
    assert (said.code, said.err) == (0, "")
    assert "Example" in said.out
    assert f"elasti {' '.join(words)}" in said.out.partition("Example")[2]


@pytest.mark.parametrize("words", [(), *WORDS], ids=" ".join)
def test_help_waits_for_no_client_of_anything(words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WHICH_ARE_LOADED, *words, "--help"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.strip()) == (0, "loaded: []")


def test_the_list_of_commands_is_the_help(elasti: Elasti) -> None:
    said = elasti("--help")
    assert said.code == 0
    for name, meaning in COMMANDS.items():
        assert f"{name} " in said.out
        assert meaning.split()[0] in said.out


def test_the_module_is_the_same_program() -> None:
    done = subprocess.run([sys.executable, "-m", "consumer", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("elasti, version ")
