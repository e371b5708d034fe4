"""Which program wrote a record: decisions say it, so that whoever repeats them knows whose sentences they have."""

import hashlib
from importlib.metadata import version
from typing import Final

from consumer.core.sentences import SENTENCES

# The sentences change between two releases too, where the version does not.
_WORDING: Final = hashlib.blake2b("\n".join(SENTENCES.values()).encode(), digest_size=4).hexdigest()

PROGRAM: Final = f"{version('elasti-consumer')}+{_WORDING}"
"""The version of this program and, behind it, which sentences it has: `0.1.0+3f9a2c1b`."""
