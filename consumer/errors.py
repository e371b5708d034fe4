"""The error behind a group of errors, for whoever has to say in one sentence what went wrong."""

import asyncio


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return what ended the work of a group, without the cancellations that followed it."""
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            return first_error(error)
        if not isinstance(error, asyncio.CancelledError):
            return error
    return group.exceptions[0]
