"""A real Kubernetes control plane as child processes, built from Go modules, without containers.

etcd, kube-apiserver and kube-controller-manager as every cluster runs them, and kwok, which plays the kubelets:
pods get ready without being run. What may not enter: anything that production needs. A production process is
pointed at a cluster that someone else runs.
"""

from consumer.adapters.control_plane.audit import AuditEntry
from consumer.adapters.control_plane.people import User
from consumer.adapters.control_plane.plane import ControlPlane
from consumer.adapters.control_plane.trouble import ControlPlaneError

__all__ = ["AuditEntry", "ControlPlane", "ControlPlaneError", "User"]
