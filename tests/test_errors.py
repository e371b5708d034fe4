"""The error behind a group of errors."""

import asyncio

import pytest

from consumer.errors import first_error

CAUSE = OSError("the port is taken")


@pytest.mark.parametrize(
    "group",
    [
        BaseExceptionGroup("one", [CAUSE]),
        BaseExceptionGroup("after a cancellation", [asyncio.CancelledError(), CAUSE]),
        BaseExceptionGroup("deep", [BaseExceptionGroup("inner", [CAUSE]), ValueError("what came later")]),
    ],
)
def test_the_first_that_is_no_cancellation_is_behind_a_group(group: BaseExceptionGroup[BaseException]) -> None:
    assert first_error(group) is CAUSE


def test_cancellations_alone_are_their_own_cause() -> None:
    cancelled = asyncio.CancelledError()
    assert first_error(BaseExceptionGroup("stopped", [cancelled])) is cancelled
