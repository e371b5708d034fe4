"""Of several resources for one service the oldest valid one counts, however they come and go."""

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from consumer.core.conflicts import Standing
from consumer.core.policy import Policy
from consumer.core.service import ServiceKey, TargetRef
from consumer.elastiservice import LONG_AGO, Changes, Followers, Known, Register, ResourceText, entries_of, entry_of
from consumer.ports import PolicyEntry, PolicyGone, Problem, ResourceRef, Shadowed

WEB = ServiceKey("shop", "web")
TEXT = ResourceText("", b"{}", b"{}")
WRONG = (Problem("shop/web", "spec.triggers", "is wrong"),)


def known(name: str, *, service: str = "web", target: str = "web", age: int = 0, valid: bool = True) -> Known:
    key = ServiceKey("shop", service)
    created: datetime = LONG_AGO + timedelta(days=age)
    policy = Policy(key, name, f"uid-{name}", "", created, TargetRef("apps/v1", "Deployment", target), ())
    resource = ResourceRef("shop", name, f"uid-{name}")
    known = Known(("shop", name), key, f"shop/{name}", policy, TEXT, resource=resource, generation=1)
    return known if valid else replace(known, policy=None, problems=WRONG)


def test_the_oldest_valid_one_speaks_and_the_others_are_named_with_what_is_wrong_with_them() -> None:
    old, young, wrong = known("b", age=1), known("a", age=2), known("c", valid=False)
    entry = entry_of([wrong, young, old])
    assert entry is not None
    assert (entry.policy, entry.resource) == (old.policy, old.resource)
    assert entry.shadowed == (
        Shadowed(ResourceRef("shop", "c", "uid-c"), WRONG, 1),
        Shadowed(ResourceRef("shop", "a", "uid-a"), (), 1),
    )


def test_where_none_is_valid_the_service_is_known_all_the_same() -> None:
    entry = entry_of([known("a", valid=False)])
    assert entry is not None
    assert (entry.key, entry.policy, entry.problems) == (WEB, None, WRONG)


def test_what_is_deleted_and_held_is_shadowed_by_what_took_its_place() -> None:
    entry = entry_of([known("b", age=2)], [known("a", age=1)])
    assert entry is not None
    assert entry.policy == known("b", age=2).policy
    assert entry.shadowed == (Shadowed(ResourceRef("shop", "a", "uid-a"), (), 1, leaving=True),)


def test_nothing_speaks_for_a_service_that_nobody_names() -> None:
    assert entry_of([], [known("a")]) is None


KNOWN = st.builds(
    known,
    st.sampled_from("abcdef"),
    service=st.sampled_from(["web", "api"]),
    target=st.sampled_from(["web", "api", "batch"]),
    age=st.integers(0, 2),
    valid=st.booleans(),
)


@given(st.lists(st.tuples(KNOWN, st.booleans()), max_size=12))
def test_a_register_says_what_a_look_at_everything_says(steps: list[tuple[Known, bool]]) -> None:
    register, there = Register(), dict[str, Known]()
    for one, stays in steps:
        identity = one.name[1]
        if stays:
            register.put(identity, one)
            there.pop(identity, None)
            there[identity] = one
        else:
            register.drop(identity)
            there.pop(identity, None)
    keys = {one.key for one in there.values() if one.key is not None}
    assert {key: entry_of(register.naming(key)) for key in keys} == entries_of(there.values())
    policies = [one.policy for one in there.values() if one.policy is not None]
    standing = Standing.of(policies)
    assert [register.conflict(policy) for policy in policies] == [standing.conflict(policy) for policy in policies]
    assert list(register) == list(there.values())


async def test_a_follower_sees_the_last_of_several_unread_changes_of_a_service() -> None:
    followers = Followers()
    follower = followers.follow([PolicyGone(WEB, None)])
    other = ServiceKey("shop", "api")
    followers.tell(PolicyEntry(WEB, None))
    followers.tell(PolicyEntry(other, None))
    assert [await anext(follower), await anext(follower)] == [PolicyEntry(WEB, None), PolicyEntry(other, None)]


async def test_each_follower_reads_for_itself() -> None:
    followers = Followers()
    first, second = followers.follow(), followers.follow()
    followers.tell(PolicyEntry(WEB, None))
    assert await anext(first) == await anext(second) == PolicyEntry(WEB, None)
    assert isinstance(first, Changes)
