"""The messages on the wire, for every producer and reader in Python; nothing else may enter.

One message a file, each with an example. `codec` turns bytes into messages and never raises on data, `topics`
names the topics and how they are kept, `partitioning` says where a key belongs, `cloudevents` and `origin` hold the
headers. This package imports nothing of `consumer`, does no I/O and takes no decisions: pydantic, orjson and the
standard library are all it needs, so a producer can depend on it alone.
"""
