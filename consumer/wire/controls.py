"""Records of the control topic into the core's book of switches."""

from consumer.core.control import Control, ControlKind, Controls
from consumer.core.service import Mode
from consumer.ports import Record
from schemas import control
from schemas.codec import Undecodable, decode


def switched(book: Controls, record: Record) -> Controls | Undecodable:
    """Return the book with what this record says; a record says everything that is switched for its scope."""
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
        return Control(message.scope, ControlKind.UNFREEZE, None, message.by, message.why, None, message.at)
    return Control(message.scope, ControlKind.FREEZE, None, freeze.by, freeze.why, freeze.until, freeze.at)


def _mode(message: control.Control) -> Control:
    switch = message.mode
    if switch is None:
        return Control(message.scope, ControlKind.MODE, None, message.by, message.why, None, message.at)
    mode = Mode(switch.mode.value)
    return Control(message.scope, ControlKind.MODE, mode, switch.by, switch.why, switch.until, switch.at)
