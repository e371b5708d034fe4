"""HTTP in: the resolver's call becomes a record, acknowledged when the log has it.

Here live the routes, their limits, and the pages for metrics and health. What may not enter: decisions,
Kafka or Kubernetes clients, and any answer that promises more than what is already durable.
"""

from consumer.gateway.remote import RemoteWake
from consumer.gateway.server import serving
from consumer.gateway.wiring import DirectWake, GatewayPorts, GatewaySettings, Health, HealthReport, Resources

__all__ = [
    "DirectWake",
    "GatewayPorts",
    "GatewaySettings",
    "Health",
    "HealthReport",
    "RemoteWake",
    "Resources",
    "is_handler_url",
    "serving",
]
