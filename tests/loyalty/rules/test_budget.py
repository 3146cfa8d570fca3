"""A bucket leaks at its rate, no matter how often it is read, and nothing is taken where too little is left."""

from datetime import UTC, datetime, timedelta

import pytest

from loyalty.rules.budget import (
    BUDGET_POINTS,
    CLIENT_PART,
    CUSTOMER_PART,
    LEAST_BUDGET_POINTS,
    MOST_BUDGET_POINTS,
    MOST_OWED_SLICES,
    Bucket,
    BudgetLimits,
    charge_operation,
    check_limits,
)
from runtime.settings import MAX_BUDGET_POINTS, MIN_BUDGET_POINTS, Settings
from schema.costs import MAX_OPERATION_COST
from schema.limits import MAX_COST

NOW = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)
TENANT = BudgetLimits(200_000, 10_000)
CLIENT = TENANT.share(CLIENT_PART)


def test_a_client_spends_what_it_has_and_then_waits_for_what_it_lacks() -> None:
    client, tenant = Bucket(TENANT, CLIENT_PART), Bucket(TENANT)
    first = charge_operation(90_000, client, tenant, NOW)
    assert (first.retry_after, first.left, first.full_after) == (None, 10_000, 18)
    second = charge_operation(20_000, client, tenant, NOW)
    assert (second.retry_after, second.left) == (2, 10_000)
    assert (client.owed, tenant.owed) == (90_000, 90_000)
    early = charge_operation(20_000, client, tenant, NOW + timedelta(seconds=1.9))
    assert early.retry_after == 1
    late = charge_operation(20_000, client, tenant, NOW + timedelta(seconds=2))
    assert (late.retry_after, late.left) == (None, 0)


@pytest.mark.parametrize("per_second", [1, 7, 10_000, 30_000, 1_000_000])
def test_a_charge_tells_exactly_what_is_left(per_second: int) -> None:
    limits = BudgetLimits(200_000, per_second)
    for cost in range(1, 200):
        client = Bucket(limits, CLIENT_PART)
        assert charge_operation(cost, client, Bucket(limits), NOW).left == CLIENT.points - cost
        assert client.count_left(NOW) == CLIENT.points - cost


def test_clients_share_what_their_tenant_has() -> None:
    tenant, clients = Bucket(TENANT), [Bucket(TENANT, CLIENT_PART) for _ in range(3)]
    for client in clients[:2]:
        assert charge_operation(100_000, client, tenant, NOW).retry_after is None
    refused = charge_operation(20_000, clients[2], tenant, NOW)
    assert (refused.retry_after, refused.left, clients[2].owed) == (2, 0, 0)


def test_a_full_bucket_gets_no_fuller() -> None:
    client, tenant = Bucket(TENANT, CLIENT_PART), Bucket(TENANT)
    charge_operation(1, client, tenant, NOW)
    assert charge_operation(0, client, tenant, NOW + timedelta(seconds=1_000_000)).left == CLIENT.points


def test_spending_of_other_processes_counts_and_debt_is_paid_first() -> None:
    """Another process has spent 30,000 points more than there were."""
    client, tenant = Bucket(TENANT, CLIENT_PART), Bucket(TENANT)
    charge_operation(10_000, client, tenant, NOW)
    client.settle(NOW + CLIENT.time_until(130_000), 10_000, NOW)
    assert client.count_left(NOW) == -30_000
    refused = charge_operation(20_000, client, tenant, NOW)
    assert (refused.retry_after, refused.left) == (10, 0)


def test_spending_during_a_booking_is_added() -> None:
    client, tenant = Bucket(TENANT, CLIENT_PART), Bucket(TENANT)
    charge_operation(10_000, client, tenant, NOW)
    charge_operation(5_000, client, tenant, NOW)
    client.settle(NOW + CLIENT.time_until(10_000), 10_000, NOW)
    assert client.owed == 5_000
    assert client.count_left(NOW) == 85_000


def test_spending_unbooked_for_long_is_owed_only_up_to_a_limit() -> None:
    """600 points a second are less than come back; the database was away for 1,000 seconds."""
    client, tenant = Bucket(TENANT, CLIENT_PART), Bucket(TENANT)
    for second in range(1_000):
        assert charge_operation(600, client, tenant, NOW + timedelta(seconds=second)).retry_after is None
    assert client.owed == MOST_OWED_SLICES * CLIENT.slice_points == 20_000
    dear = Bucket(TENANT, CLIENT_PART)
    for cost in (30_000, 10):
        dear.spend(cost, NOW)
    assert dear.owed == 30_000


def test_every_budget_has_room_for_the_dearest_operation() -> None:
    assert BudgetLimits(LEAST_BUDGET_POINTS, 1).share(CUSTOMER_PART) == BudgetLimits(LEAST_BUDGET_POINTS, 1)
    assert LEAST_BUDGET_POINTS >= MAX_OPERATION_COST >= MAX_COST
    assert BudgetLimits(BUDGET_POINTS, 10_000).share(CLIENT_PART) == BudgetLimits(100_000, 5_000)


def test_a_slice_is_smaller_than_any_budget() -> None:
    for part in (1, CLIENT_PART, CUSTOMER_PART):
        limits = BudgetLimits(LEAST_BUDGET_POINTS, 1).share(part)
        assert limits.slice_points < limits.points / 2


@pytest.mark.parametrize(
    ("limits", "wrong"),
    [
        (BudgetLimits(LEAST_BUDGET_POINTS, 1), []),
        (BudgetLimits(MOST_BUDGET_POINTS, MOST_BUDGET_POINTS), []),
        (BudgetLimits(LEAST_BUDGET_POINTS - 1, 1), ["points"]),
        (BudgetLimits(LEAST_BUDGET_POINTS, 0), ["per_second"]),
        (BudgetLimits(MOST_BUDGET_POINTS + 1, MOST_BUDGET_POINTS + 1), ["points", "per_second"]),
    ],
)
def test_limits_of_a_tenant_are_checked(limits: BudgetLimits, wrong: list[str]) -> None:
    assert [problem.path[0] for problem in check_limits(limits) if problem] == wrong


def test_the_settings_say_the_same_limits() -> None:
    settings = Settings.model_fields
    assert BudgetLimits(settings["budget_points"].default, settings["budget_points_per_second"].default) == (
        BudgetLimits()
    )
    assert (MIN_BUDGET_POINTS, MAX_BUDGET_POINTS) == (LEAST_BUDGET_POINTS, MOST_BUDGET_POINTS)
