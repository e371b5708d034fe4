"""Prometheus over HTTP: one POST a question, pooled connections, every failure told in our words.

`measurements` asks, `credentials` turns what a question names into headers and TLS, `reading` understands the answer.
What may not enter: what a value means, and a secret in any message.
"""

from consumer.adapters.prometheus.measurements import PrometheusMeasurements

__all__ = ["PrometheusMeasurements"]
