"""What the kubelet gives to a pod is read as it is, and what is missing is said."""

import subprocess
import sys
from pathlib import Path

import pytest

from consumer.adapters.kubernetes.identity import read_pod
from consumer.ports import TargetForbiddenError


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    (tmp_path / "token").write_text("rotated-by-the-kubelet\n")
    (tmp_path / "ca.crt").write_text("-----BEGIN CERTIFICATE-----\n")
    return tmp_path


async def test_a_pod_is_its_service_account(pod: Path) -> None:
    identity = await read_pod(pod)
    assert (identity.server, identity.ca) == ("https://10.0.0.1:443", str(pod / "ca.crt"))
    assert identity.token == "rotated-by-the-kubelet"  # noqa: S105 - made up here
    assert identity.verified


async def test_an_address_of_ipv6_is_put_in_brackets(pod: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    assert (await read_pod(pod)).server == "https://[fd00::1]:443"


@pytest.mark.parametrize("variable", ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"])
async def test_outside_of_a_pod_the_missing_variable_is_named(
    pod: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.delenv(variable)
    with pytest.raises(TargetForbiddenError, match=rf"{variable}.*ELASTI_CLUSTER_ACCESS"):
        await read_pod(pod)


@pytest.mark.parametrize("file", ["token", "ca.crt"])
async def test_a_file_that_is_empty_or_missing_is_named(pod: Path, file: str) -> None:
    (pod / file).write_text("\n")
    with pytest.raises(TargetForbiddenError, match=rf"{file} is empty"):
        await read_pod(pod)
    (pod / file).unlink()
    with pytest.raises(TargetForbiddenError, match=file):
        await read_pod(pod)


async def test_a_token_is_not_shown(pod: Path) -> None:
    assert "rotated" not in repr(await read_pod(pod))


def test_a_pod_does_not_carry_the_client_library() -> None:
    asked = "import sys, consumer.app.running, consumer.app.kubernetes; sys.exit('kubernetes_asyncio' in sys.modules)"
    subprocess.run([sys.executable, "-c", asked], check=True, timeout=60)
