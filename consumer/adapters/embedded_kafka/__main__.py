"""The child process that fetches Kafka's jars into the directory it is given."""

import sys
from pathlib import Path

from consumer.adapters.embedded_kafka.jars import fetch_aloud

if __name__ == "__main__":
    sys.exit(fetch_aloud(Path(sys.argv[1])))
