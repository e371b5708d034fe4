"""The list of ACLs: what each part needs, as commands, and as the docs print them."""

from dataclasses import replace
from pathlib import Path

import pytest

from consumer.insight.acls import Names, Part, commands, page, permits, tenant
from consumer.ports import Guarded, Operation, Permit, grant
from schemas.topics import DEFAULT_PREFIX

_NAMES = Names(DEFAULT_PREFIX, "worker", "handler")
_PAGE = Path(__file__).parents[2] / "docs" / "howto-kafka-acls.md"


def test_no_part_may_do_a_thing_twice_or_anything_with_everything() -> None:
    for part in Part:
        needed = permits(part, _NAMES)
        assert len(needed) == len(set(needed))
        assert all(permit.name.startswith(DEFAULT_PREFIX) and permit.name != DEFAULT_PREFIX for permit in needed)


def test_only_who_sets_up_creates_topics() -> None:
    creators = {part for part in Part for permit in permits(part, _NAMES) if permit.operation is Operation.CREATE}
    assert creators == {Part.SETUP}


def test_nobody_but_workers_writes_decisions_commands_and_states() -> None:
    for topic in ("decisions", "scale-commands", "state", "service-status"):
        permit = Permit(Guarded.TOPIC, f"elasti.{topic}", Operation.WRITE)
        assert {part for part in Part if permit in permits(part, _NAMES)} == {Part.WORKER}


def test_what_may_be_done_with_one_thing_is_one_command() -> None:
    assert commands(Part.GATEWAY, _NAMES, "User:gateway", "kafka:9093") == [
        "kafka-acls --bootstrap-server kafka:9093 --add --allow-principal User:gateway "
        "--operation Write --topic elasti.request-counts"
    ]
    assert (
        "kafka-acls --bootstrap-server kafka:9093 --add --allow-principal User:w "
        "--operation Read --operation Write --topic elasti.hosts"
    ) in commands(Part.WORKER, _NAMES, "User:w", "kafka:9093")


@pytest.mark.parametrize("part", Part)
def test_the_page_has_the_list_of_each_part_as_it_is(part: Part) -> None:
    assert page(part) in _PAGE.read_text(), f"write into {_PAGE.name}:\n\n{page(part)}"


def test_a_tenants_topic_is_for_all_who_have_to_do_with_requests() -> None:
    names = replace(_NAMES, tenants=("bank",))
    own = "elasti.request-counts.bank"
    assert {part for part in Part if any(permit.name == own for permit in permits(part, names))} == {
        *(Part.WORKER, Part.GATEWAY, Part.OPERATOR, Part.AUDITOR, Part.RESOLVER, Part.SETUP)
    }
    for part in Part:
        shared = {permit.operation for permit in permits(part, names) if permit.name == "elasti.request-counts"}
        assert {permit.operation for permit in permits(part, names) if permit.name == own} == shared


def test_a_tenant_may_write_its_own_topic_and_the_page_says_so() -> None:
    needed = tenant(_NAMES, "bank")
    assert needed == (Permit(Guarded.TOPIC, "elasti.request-counts.bank", Operation.WRITE),)
    (command,) = grant(needed, "User:bank", "kafka:9093")
    assert "$ACLS" + command.removeprefix("kafka-acls --bootstrap-server kafka:9093") in _PAGE.read_text()
