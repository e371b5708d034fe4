"""The ElastiService resource, as KubeElasti defines it: read into a Policy, or into everything that is wrong with it.

`fields` reads and complains, `resource` knows what the fields mean, `sharing` what of them is no secret, `status` what
we say in return, `register` which of several is in force, `changes` who is told of it. What may not enter: where
resources come from, and what is decided by them.
"""

from consumer.elastiservice.changes import Changes, Followers
from consumer.elastiservice.fields import FieldPath, Locator, field_name
from consumer.elastiservice.register import Known, Register, differences, entries_of, entry_of
from consumer.elastiservice.resource import (
    API_VERSION,
    GROUP,
    KIND,
    LONG_AGO,
    PAUSED,
    PAUSED_UNTIL,
    PLURAL,
    content_hash,
    key_of,
    policy_from,
)
from consumer.elastiservice.sharing import ResourceText, shareable
from consumer.elastiservice.status import FINALIZER, KUBEELASTI_FINALIZER, merged, status_patch

__all__ = [
    "API_VERSION",
    "FINALIZER",
    "GROUP",
    "KIND",
    "KUBEELASTI_FINALIZER",
    "LONG_AGO",
    "PAUSED",
    "PAUSED_UNTIL",
    "PLURAL",
    "Changes",
    "FieldPath",
    "Followers",
    "Known",
    "Locator",
    "Register",
    "ResourceText",
    "content_hash",
    "differences",
    "entries_of",
    "entry_of",
    "field_name",
    "key_of",
    "merged",
    "policy_from",
    "shareable",
    "status_patch",
]
