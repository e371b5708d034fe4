"""Several policies for one service or one target: the oldest counts."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from consumer.core.conflicts import Standing, age
from consumer.core.policy import Policy
from consumer.core.service import ServiceKey, TargetRef

T0 = datetime(2026, 1, 1, tzinfo=UTC)


def policy(name: str, *, service: str, target: str, after: int = 0, api_version: str = "apps/v1") -> Policy:
    return Policy(
        key=ServiceKey("shop", service),
        name=name,
        uid=name,
        hash=name,
        created_at=T0 + timedelta(seconds=after),
        target=TargetRef(api_version, "Deployment", target),
        triggers=(),
    )


def test_the_oldest_policy_of_a_service_is_in_force() -> None:
    old, young = policy("b", service="web", target="web"), policy("a", service="web", target="other", after=1)
    standing = Standing.of([young, old])
    assert standing.in_force == {old.key: old}
    assert standing.conflict(old) is None
    assert standing.conflict(young) == old.key


def test_of_two_equally_old_policies_the_first_by_name_is_in_force() -> None:
    first, second = policy("a", service="web", target="web"), policy("b", service="web", target="web")
    standing = Standing.of([second, first])
    assert standing.in_force[first.key] is first
    assert standing.conflict(second) == first.key


def test_a_younger_policy_for_the_same_target_names_the_service_in_its_way() -> None:
    old, young = policy("a", service="web", target="app"), policy("b", service="api", target="app", after=1)
    standing = Standing.of([young, old])
    assert standing.conflict(young) == ServiceKey("shop", "web")
    assert standing.conflict(old) is None
    assert set(standing.in_force) == {old.key, young.key}


def test_a_target_in_another_version_of_its_group_is_the_same_but_not_in_another_group() -> None:
    old = policy("a", service="web", target="app")
    newer = policy("b", service="api", target="app", after=1, api_version="apps/v2")
    foreign = policy("c", service="ftp", target="app", after=2, api_version="example.org/v1")
    standing = Standing.of([old, newer, foreign])
    assert standing.conflict(newer) == old.key
    assert standing.conflict(foreign) is None


def test_a_policy_alone_and_a_policy_unknown_have_no_conflict() -> None:
    alone = policy("a", service="web", target="web")
    assert Standing.of([alone]).conflict(alone) is None
    assert Standing.of([]).conflict(alone) is None


POLICIES = st.lists(
    st.builds(
        policy,
        st.sampled_from("abcdef"),
        service=st.sampled_from(["web", "api", "ftp"]),
        target=st.sampled_from(["one", "two"]),
        after=st.integers(0, 2),
    ),
    unique_by=lambda made: made.name,
)


@given(POLICIES.flatmap(lambda made: st.tuples(st.just(made), st.permutations(made))))
def test_the_order_of_arrival_does_not_matter(orders: tuple[list[Policy], list[Policy]]) -> None:
    one, other = orders
    assert Standing.of(one) == Standing.of(other)


@given(POLICIES)
def test_exactly_one_policy_of_each_target_is_without_an_older_one(policies: list[Policy]) -> None:
    standing = Standing.of(policies)
    for target in {made.target for made in policies}:
        claims = sorted((made for made in policies if made.target == target), key=age)
        assert all(standing.conflict(made) is not None for made in claims[1:])
