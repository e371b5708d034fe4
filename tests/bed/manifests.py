"""Objects that tests put on the control plane: workloads whose pods kwok plays, and those who scale them."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]
"""An object as its YAML says it; tests write and read them as they are."""

NODE = "bed"
_READY_AFTER = "bed.elasti/ready-after"
_NEVER_READY = "bed.elasti/never-ready"


def definitions() -> list[Manifest]:
    """The CustomResourceDefinitions of other makers that every plane has."""
    return list(yaml.safe_load_all((Path(__file__).parent / "definitions.yaml").read_text()))


def deployment(
    name: str, replicas: int = 0, *, ready_after: timedelta | None = None, never_ready: bool = False
) -> Manifest:
    """A Deployment; its pods are ready at once, some time after they were made, or never."""
    return _workload("Deployment", name, replicas, _told(ready_after, never_ready=never_ready))


def statefulset(
    name: str, replicas: int = 0, *, ready_after: timedelta | None = None, never_ready: bool = False
) -> Manifest:
    """A StatefulSet, whose pods come one after the other."""
    manifest = _workload("StatefulSet", name, replicas, _told(ready_after, never_ready=never_ready))
    manifest["spec"]["serviceName"] = name
    return manifest


def rollout(name: str, replicas: int = 0) -> Manifest:
    """A Rollout of Argo's group; nothing makes pods of it, its status is what a test writes."""
    manifest = _workload("Rollout", name, replicas, {})
    manifest["apiVersion"] = "argoproj.io/v1alpha1"
    return manifest


def widget(name: str, size: int = 0) -> Manifest:
    """A kind that nobody knows, whose replicas are called `size`."""
    return {"apiVersion": "bed.example/v1", "kind": "Widget", "metadata": {"name": name}, "spec": {"size": size}}


def service(name: str, *, port: int = 80) -> Manifest:
    """A Service of the workload of the same name."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": {"app": name}, "ports": [{"port": port, "targetPort": 8080}]},
    }


def scaled_object(name: str, *, target: str, kind: str = "Deployment", least: int = 1) -> Manifest:
    """KEDA's object over a workload."""
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"name": target, "kind": kind},
            "minReplicaCount": least,
            "triggers": [{"type": "cpu", "metricType": "Utilization", "metadata": {"value": "60"}}],
        },
    }


def autoscaler(name: str, *, target: str, kind: str = "Deployment", most: int = 5) -> Manifest:
    """A HorizontalPodAutoscaler over a workload; without metrics its controller keeps to the bounds only."""
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": kind, "name": target},
            "minReplicas": 1,
            "maxReplicas": most,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}},
                }
            ],
        },
    }


def _told(ready_after: timedelta | None, *, never_ready: bool) -> Mapping[str, str]:
    """The annotations by which the pods' simulator knows what to do with a pod."""
    after = {_READY_AFTER: f"{ready_after // timedelta(milliseconds=1)}ms"} if ready_after is not None else {}
    return after | ({_NEVER_READY: "true"} if never_ready else {})


def _workload(kind: str, name: str, replicas: int, annotations: Mapping[str, str]) -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}, "annotations": dict(annotations)},
                # Without a scheduler, a pod says itself where it is.
                "spec": {"nodeName": NODE, "containers": [{"name": "app", "image": "registry.example/app:1"}]},
            },
        },
    }
