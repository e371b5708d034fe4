"""The actors' workloads as a real API takes them: namespaces, Deployments whose pods take their time, Services."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import yaml

from consumer.demo.scenario import Actor

NODE = "bed"
"""The control plane's one node; without a scheduler, pods name it themselves."""

_READY_AFTER = "bed.elasti/ready-after"


def workloads_of(actors: Sequence[Actor]) -> str:
    """Everything that the actors are made of, but for their policies, as YAML documents."""
    namespaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        for name in dict.fromkeys(actor.key.namespace for actor in actors)
    ]
    objects = [*namespaces, *(made for actor in actors for made in (_deployment(actor), _service(actor)))]
    text: str = yaml.safe_dump_all(objects, sort_keys=False)
    return text


def _deployment(actor: Actor) -> Mapping[str, object]:
    labels = {"app": actor.key.name}
    starts_in = f"{actor.starts_in // timedelta(milliseconds=1)}ms"
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": actor.key.name, "namespace": actor.key.namespace, "labels": labels},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "template": {
                # The simulator of the kubelets reads there when a pod gets ready.
                "metadata": {"labels": labels, "annotations": {_READY_AFTER: starts_in}},
                "spec": {"nodeName": NODE, "containers": [{"name": "app", "image": "registry.example/app:1"}]},
            },
        },
    }


def _service(actor: Actor) -> Mapping[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": actor.key.name, "namespace": actor.key.namespace},
        "spec": {"selector": {"app": actor.key.name}, "ports": [{"port": 80, "targetPort": 8080}]},
    }
