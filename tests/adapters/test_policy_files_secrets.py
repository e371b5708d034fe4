"""Files have no Secrets: what names one is refused where it is run, and taken where it is only looked over."""

from pathlib import Path

import pytest

from consumer.adapters.policy_files import PolicyFiles
from tests.adapters.policy_texts import WEB, check, document

HEADERS_FROM = """\
        headersFrom:
          Authorization: {prefix: "Bearer ", secretKeyRef: {name: prometheus, key: token}}
"""
CA_FROM = """\
        tls:
          caFrom: {secretKeyRef: {name: prometheus, key: ca.crt}}
"""
CA_FILE = """\
        tls:
          caFile: /etc/ssl/prometheus.crt
"""


@pytest.mark.parametrize(("text", "field"), [(HEADERS_FROM, "headersFrom"), (CA_FROM, "tls")])
async def test_a_file_that_names_a_secret_is_refused_with_the_ways_out(tmp_path: Path, text: str, field: str) -> None:
    (tmp_path / "web.yaml").write_text(document() + text)
    files = PolicyFiles((tmp_path,), check)
    await files.read()
    (problem,) = files.problems()
    assert problem.field == f"spec.triggers[0].metadata.{field}"
    assert problem.where.endswith("web.yaml:18")
    assert "files have none" in problem.message
    assert files.entries()[WEB].policy is None


@pytest.mark.parametrize("text", [HEADERS_FROM, CA_FROM, CA_FILE])
async def test_what_will_be_applied_to_a_cluster_may_name_secrets(tmp_path: Path, text: str) -> None:
    (tmp_path / "web.yaml").write_text(document() + text)
    files = PolicyFiles((tmp_path,), check, for_cluster=True)
    await files.read()
    assert files.problems() == ()


async def test_a_ca_in_a_file_needs_no_cluster(tmp_path: Path) -> None:
    (tmp_path / "web.yaml").write_text(document() + CA_FILE)
    files = PolicyFiles((tmp_path,), check)
    await files.read()
    assert files.problems() == ()
