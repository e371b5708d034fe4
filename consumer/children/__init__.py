"""Servers that run as children of this process: what ends them with us, where their programs are kept.

What may not enter: anything about one server. How a Kafka or an API server is set up is its adapter's affair;
what they share is that nothing of them may be left behind, however we end.
"""

from consumer.children.dying import end_with_parent
from consumer.children.guard import Guard
from consumer.children.halting import halt
from consumer.children.places import HOST, NoPlaceError, cache_root, free_ports, temporary_folder

__all__ = [
    "HOST",
    "Guard",
    "NoPlaceError",
    "cache_root",
    "end_with_parent",
    "free_ports",
    "halt",
    "temporary_folder",
]
