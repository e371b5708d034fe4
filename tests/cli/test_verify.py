"""`elasti verify` on recorded runs: what it prints, what it ends with."""

import json
from pathlib import Path

import pytest

from consumer.checker import Recording, saved
from consumer.cli import main
from tests.checker.conftest import day as day  # noqa: PLC0414 - a fixture
from tests.checker.spoiling import also, found, of


def verify(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["verify", *(str(word) for word in words)])
    out, err = capsys.readouterr()
    code = ended.value.code
    assert isinstance(code, int)
    return code, out, err


@pytest.fixture
def good(day: Recording, tmp_path: Path) -> Path:
    saved(day, tmp_path / "good.jsonl.gz")
    return tmp_path / "good.jsonl.gz"


@pytest.fixture
def bad(day: Recording, tmp_path: Path) -> Path:
    zero = found(day, of("decisions", action="zero"))[0]
    saved(also(day, zero, action="hold"), tmp_path / "bad.jsonl")
    return tmp_path / "bad.jsonl"


def test_a_good_run_ends_with_nothing_violated(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = verify(capsys, "--recording", good, "--quiet")
    assert (code, err) == (0, "")
    assert "nothing is violated" in out
    assert "24 of 24 decisions repeated" in out
    assert "from a request to its accepted wake: p50 5000ms" in out
    assert "request-counts           10 records" in out


def test_a_violation_says_which_records_and_what_it_means(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = verify(capsys, "--recording", bad)
    assert code == 1
    assert "one-id-one-decision shop/web" in out
    assert "decisions/0@" in out
    assert "This means: one cause led to two things" in out
    assert "violations: " in out


def test_as_json(bad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = verify(capsys, "--recording", bad, "--json")
    assert code == 1
    content = json.loads(out)
    violation = next(one for one in content["violations"] if one["rule"] == "one-id-one-decision")
    assert violation["service"] == "shop/web"
    assert {record["topic"] for record in violation["records"]} == {"decisions"}
    assert content["figures"]["wakeDelayMs"]["max"] == 5_000


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--wake-within", "4s"), 1),
        (("--wake-within", "5s"), 0),
        (("--wake-within", "4s", "--outage", "2026-01-31T12:00:00Z/2026-01-31T12:10:00Z"), 0),
    ],
)
def test_how_long_a_wake_may_take(
    good: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int
) -> None:
    assert verify(capsys, "--recording", good, *words)[0] == code


@pytest.mark.parametrize(
    ("words", "says", "code"),
    [
        ((), "no Kafka is named", 2),
        (("--recording", "absent.jsonl"), "absent.jsonl", 3),
        (("--recording", "absent.jsonl", "--save", "kept.jsonl"), "leave one out", 2),
        (("--recording", "README.md"), "README.md, line 1: not JSON", 3),
        (("--outage", "yesterday"), '"yesterday" is no time span', 2),
        (("--outage", "2026-01-31T09:30:00/2026-01-31T09:40:00"), "is no time span", 2),
    ],
)
def test_what_can_not_be_judged(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str, code: int
) -> None:
    ended, out, err = verify(capsys, *words)
    assert (ended, out) == (code, "")
    assert says in err
