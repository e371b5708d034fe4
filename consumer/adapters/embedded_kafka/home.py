"""Where an embedded Kafka lives: its directory and what stands in it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

NEEDED = 500_000_000
"""Bytes that must be free for a broker to start."""
_NOTHING = 1_000_000
"""Bytes that a broker can do nothing with any more."""


@dataclass(frozen=True, slots=True)
class Home:
    """The directory of one broker: one that was given, whose data stay, or a temporary one."""

    path: Path
    given: bool

    @property
    def data(self) -> Path:
        """Where Kafka keeps its records."""
        return self.path / "data"

    @property
    def identity(self) -> Path:
        """Kafka's word on which broker of which cluster the records belong to."""
        return self.data / "meta.properties"

    @property
    def cluster(self) -> Path:
        """Our word on which cluster the records belong to; Kafka believes whatever stands beside them."""
        return self.path / "cluster"

    @property
    def config(self) -> Path:
        """The configuration, written anew at each start."""
        return self.path / "server.properties"

    @property
    def scratch(self) -> Path:
        """Java's own temporary files."""
        return self.path / "scratch"

    @property
    def elsewhere(self) -> str:
        """What to do when this place will not do."""
        return "give another directory" if self.given else "let TMPDIR name a directory elsewhere"

    def room(self) -> int:
        """Bytes that are free; raises OSError when nobody can say."""
        return shutil.disk_usage(self.path).free

    def is_full(self) -> bool:
        """Whether its disk is as good as full."""
        try:
            return self.room() < _NOTHING
        except OSError:
            return False
