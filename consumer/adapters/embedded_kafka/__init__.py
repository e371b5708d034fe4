"""A real Apache Kafka as a child process, from Python packages alone, for the demo, `--dev` and live tests.

What may not enter: anything that production needs. A production process is pointed at a Kafka that someone
else runs; this package only makes one appear on a laptop, and makes it vanish without a trace.
"""

from consumer.adapters.embedded_kafka.broker import EmbeddedKafka
from consumer.adapters.embedded_kafka.trouble import EmbeddedKafkaError

__all__ = ["EmbeddedKafka", "EmbeddedKafkaError"]
