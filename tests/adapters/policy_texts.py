"""Texts of policies, and files of them that were read once."""

from collections.abc import Sequence
from pathlib import Path

from consumer.adapters.policy_files import PolicyFiles
from consumer.core.policy import Trigger
from consumer.core.service import ServiceKey
from consumer.ports import Policies

WEB, API = ServiceKey("shop", "web"), ServiceKey("shop", "api")


def check(trigger: Trigger) -> Sequence[tuple[str, str]]:
    return () if trigger.type == "prometheus" else [("type", f'is unknown; write "prometheus", not "{trigger.type}"')]


def document(service: str = "web", *, name: str = "", cooldown: object = 60, target: str = "") -> str:
    return f"""\
apiVersion: elasti.truefoundry.com/v1alpha1
kind: ElastiService
metadata:
  name: {name or service}
  namespace: shop
spec:
  service: {service}
  cooldownPeriod: {cooldown}
  scaleTargetRef:
    apiVersion: apps/v1
    kind: deployments
    name: {target or service}
  triggers:
    - type: prometheus
      metadata:
        query: sum(up)
        threshold: "1"
"""


async def read(*paths: Path) -> PolicyFiles:
    files = PolicyFiles(paths, check)
    await files.read()
    return files


def cooldown(files: Policies, key: ServiceKey = WEB) -> float:
    policy = files.entries()[key].policy
    assert policy is not None
    return policy.cooldown.total_seconds()
