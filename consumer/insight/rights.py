"""The rights that each part of the system needs in a cluster, as data: `elasti doctor` asks for them.

The manifests grant these, and a test holds the two against each other.
"""

from collections.abc import Iterator
from typing import Final

from consumer.ports import Right

_ELASTI: Final = "elasti.truefoundry.com"


def _each(verbs: str, group: str, resource: str, subresource: str = "", name: str = "") -> Iterator[Right]:
    for verb in verbs.split():
        yield Right(verb, group, resource, subresource, name=name)


POLICIES: Final = (*_each("list watch", _ELASTI, "elastiservices"),)
"""Whoever follows the policies: worker, handler, and a gateway that lists them to resolvers."""

SWITCHES: Final = (*_each("list watch", "", "configmaps", name="elasti-switches"),)
"""In the installation's namespace, and of that one ConfigMap only."""

TARGETS: Final = (
    *_each("get list watch", "apps", "deployments"),
    *_each("get list watch", "apps", "statefulsets"),
    *_each("patch", "apps", "deployments", "scale"),
    *_each("patch", "apps", "statefulsets", "scale"),
)
"""What can be scaled in every cluster; other kinds need the same where policies name them, and `get` of their scale if
they do not say themselves, as Rollouts do, how many replicas they have.
"""

OWN: Final = (
    *_each("get patch", _ELASTI, "elastiservices"),
    *_each("patch", _ELASTI, "elastiservices", "status"),
    *_each("create patch", "", "events"),
)
"""What the handler says on its own resources, and to `kubectl describe`."""

KEDA: Final = (*_each("get patch", "keda.sh", "scaledobjects"),)
"""Where a policy names a ScaledObject."""

WORKER: Final = (*POLICIES, *SWITCHES)
HANDLER: Final = (*POLICIES, *SWITCHES, *TARGETS, *OWN)
OPERATOR: Final = (
    *_each("get list watch patch", "", "configmaps", name="elasti-switches"),
    *_each("create", "", "configmaps"),
    *_each("list get patch", _ELASTI, "elastiservices"),
    *_each("get", "apps", "deployments"),
    *_each("get", "apps", "statefulsets"),
    *_each("patch", "apps", "deployments", "scale"),
    *_each("patch", "apps", "statefulsets", "scale"),
    *_each("get list patch", "keda.sh", "scaledobjects"),
    *_each("list", "autoscaling", "horizontalpodautoscalers"),
)
"""A person who freezes, wakes, restores and asks the doctor, without Kafka."""
