"""The outside world, one vendor a module: each implements ports and turns vendor errors into ours.

Adapters do not know one another and nothing but `consumer.app` builds them. What may not enter: decisions,
retries that a port does not promise, vendor types in a signature, and a second reader of the clock or of
the environment.
"""
