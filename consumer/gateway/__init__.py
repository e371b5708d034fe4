"""HTTP in: the resolver's call becomes a record, acknowledged when the log has it.

Here live the routes, their limits, and the pages for metrics and health. What may not enter: decisions,
Kafka or Kubernetes clients, and any answer that promises more than what is already durable.
"""
