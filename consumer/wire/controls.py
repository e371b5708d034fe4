"""Records of the control topic, and what the cluster keeps of the same kind, to and from the core's switches."""

from dataclasses import replace
from typing import Final

from consumer.core.control import Control, ControlKind, Controls
from consumer.core.service import Mode
from consumer.ports import Record, unreadable
from consumer.wire.messages import control_message
from schemas import control
from schemas.codec import MAX_CAUSE, Undecodable, decode

UNREADABLE: Final = "*"
"""What a switch that nobody can read is about: everything. Rather no sleep too many than one against a freeze."""


def switch_message(switch: Control, cluster: str) -> control.Control:
    """Return the message of one switch alone, in the form that the control topic has."""
    return control_message(Controls(), switch, cluster)


def switch_from(text: str, *, mode: bool) -> Control | Undecodable:
    """Read the message of one switch alone: a mode, or else a freeze, or its end."""
    message = decode(control.Control, text.encode())
    if isinstance(message, Undecodable):
        return message
    return _mode(message) if mode else _freeze(message)


def switched(book: Controls, record: Record) -> Controls | Undecodable:
    """Return the book with what this record says; a record says everything that is switched for its scope."""
    if (why := unreadable(record)) is not None:
        return Undecodable(f"could not be read: {why}"[:MAX_CAUSE], None)
    if record.value is None:
        return book.forget((record.key or b"").decode(errors="replace"))
    message = decode(control.Control, record.value)
    if isinstance(message, Undecodable):
        return message
    for switch in (_freeze(message), _mode(message)):
        book = book.apply(switch)
    return book


def _freeze(message: control.Control) -> Control:
    freeze = message.freeze
    if freeze is None:
        return _switch(message.scope, ControlKind.UNFREEZE, message)
    return _switch(message.scope, ControlKind.FREEZE, freeze)


def _mode(message: control.Control) -> Control:
    switch = message.mode
    if switch is None:
        return _switch(message.scope, ControlKind.MODE, message)
    return replace(_switch(message.scope, ControlKind.MODE, switch), mode=Mode(switch.mode.value))


def _switch(scope: str, kind: ControlKind, said: control.Control | control.Freeze | control.ModeSetting) -> Control:
    """Who switched it and why goes into every decision and state that follows from it: long words are cut."""
    until = None if isinstance(said, control.Control) else said.until
    return Control(scope, kind, None, said.by[:MAX_CAUSE], said.why[:MAX_CAUSE], until, said.at)
