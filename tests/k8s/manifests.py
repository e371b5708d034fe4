"""The manifests of k8s/ as they are in their files, and rendered by kubectl and helm."""

import asyncio
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import yaml

from consumer.ports import Right
from tests.bed.manifests import Manifest

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"
CHART = ROOT / "charts" / "elasti"


def objects(file: Path) -> list[Manifest]:
    """The objects of one file."""
    return [each for each in yaml.safe_load_all(file.read_text()) if each]


def written(folder: Path = K8S) -> Iterator[Manifest]:
    """Every object under a folder, without the kustomizations."""
    for file in sorted(folder.rglob("*.yaml")):
        if file.name != "kustomization.yaml":
            yield from objects(file)


def pod_of(manifest: Manifest) -> Manifest:
    """The pod that a workload makes."""
    pod: Manifest = manifest["spec"]["template"]["spec"]
    return pod


def rights(rules: list[Manifest]) -> Iterator[Right]:
    """What rules grant, one by one."""
    for rule in rules:
        places = product(rule["verbs"], rule["apiGroups"], rule["resources"], rule.get("resourceNames", [""]))
        for verb, group, resource, name in places:
            plural, _, subresource = resource.partition("/")
            yield Right(verb, group, plural, subresource, name=name)


def granted(component: str) -> frozenset[Right]:
    """What the service account of a component may do, in the rights of k8s/."""
    roles = {each["metadata"]["name"]: each for each in objects(K8S / "rights/roles/roles.yaml")}
    bindings = objects(K8S / "rights/cluster/bindings.yaml")
    switches = objects(K8S / "workloads/switches.yaml")
    roles |= {each["metadata"]["name"]: each for each in switches if each["kind"] == "Role"}
    bindings += [each for each in switches if each["kind"] == "RoleBinding"]
    mine = [b for b in bindings if f"elasti-{component}" in {subject["name"] for subject in b["subjects"]}]
    return frozenset(right for b in mine for right in rights(roles[b["roleRef"]["name"]]["rules"]))


async def output(program: Path, *arguments: str | Path) -> str:
    """What a program writes; raises AssertionError with what it says when it fails."""
    process = await asyncio.create_subprocess_exec(
        program, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    said, complained = await process.communicate()
    assert process.returncode == 0, f"{program.name} {arguments}: {said.decode()}{complained.decode()}"
    return said.decode()


async def rendered(program: Path, *arguments: str | Path) -> list[Manifest]:
    """The objects that a program prints."""
    return [each for each in yaml.safe_load_all(await output(program, *arguments)) if each]
