"""The demo: a dozen services, their traffic, and the stage on which the real program plays with them.

Only the surroundings are make-believe (the cluster, the metrics, the callers); Kafka, worker, handler and gateway
are the ones that production runs. Nothing of the rest of the system may know of this package but the command line.
"""
