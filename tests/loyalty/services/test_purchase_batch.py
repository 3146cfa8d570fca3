"""Many purchases at once: one answer per item in their order, and a refused item harms no other."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from loyalty.rules.customer import CustomerProfile
from loyalty.rules.earning import Conditions
from loyalty.rules.errors import (
    CurrencyMismatch,
    FeatureDisabled,
    InvalidInput,
    LimitReached,
    LoyaltyError,
    PurchaseOfAnotherCustomer,
)
from loyalty.rules.money import Money
from loyalty.rules.points import MAX_POINTS
from loyalty.rules.purchase import PurchaseStatus
from loyalty.rules.purchase_errors import StatusRunsBackwards
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.purchase import MAX_BATCH, record_purchases
from loyalty.services.purchase_recording import PurchaseRecording, RecordedPurchase, RecordingResult
from loyalty.services.tier import create_tier
from loyalty.services.world import World
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges, snapshot
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import earn, give, one_point_per_euro, order, rule


def recorded(results: Sequence[RecordingResult]) -> list[RecordedPurchase]:
    """Return the results, none of them refused."""
    refused = [result for result in results if isinstance(result, LoyaltyError)]
    assert not refused
    return [result for result in results if isinstance(result, RecordedPurchase)]


def kinds(results: Sequence[RecordingResult]) -> list[str]:
    """Return what became of each item, in a word."""
    return [
        type(result).__name__ if isinstance(result, LoyaltyError) else "replayed" if result.replayed else "recorded"
        for result in results
    ]


async def test_a_thousand_with_bad_ones_in_between(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    """F-08: every tenth item is refused, each in its own way; the others are as if those had never been sent."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await create_tier(world, salon.manager, "Silver", "#C0C0C0", 50)
    await earn(world, salon, order("taken", customer="somebody"))
    await earn(world, salon, order("done", customer="somebody", status=PurchaseStatus.COMPLETED))
    bad = [
        (order(""), InvalidInput),
        (order("dollars")._replace(report=replace(order("dollars").report, total=Money(1, "USD"))), CurrencyMismatch),
        (order("taken", customer="else"), PurchaseOfAnotherCustomer),
        (order("done", customer="somebody", status=PurchaseStatus.PAID), StatusRunsBackwards),
    ]
    batch = [
        bad[number // 10 % len(bad)][0]
        if number % 10 == 0
        else order(f"order-{number}", 100 * (number % 7), customer=f"guest-{number % 100}")
        for number in range(MAX_BATCH)
    ]
    results = await record_purchases(world, salon.integration, batch)
    assert len(results) == MAX_BATCH
    for number, result in enumerate(results):
        if number % 10 == 0:
            assert type(result) is bad[number // 10 % len(bad)][1]
        else:
            assert isinstance(result, RecordedPurchase)
            assert result.purchase.external_id == f"order-{number}"
            assert result.customer.external_id == f"guest-{number % 100}"
            assert result.accrual is not None
            assert result.accrual.points == number % 7
    kept = await snapshot(world.database, salon.tenant_id)
    assert len(kept["purchases"]) == 900 + 2
    assert len(kept["customers"]) == 90 + 1
    await ledger_is_sound(salon.tenant_id)

    again = await record_purchases(world, salon.integration, batch)
    assert kinds(again) == [kind if number % 10 == 0 else "replayed" for number, kind in enumerate(kinds(results))]
    assert await snapshot(world.database, salon.tenant_id) == kept


async def test_the_purchases_of_one_customer_follow_one_another(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """BK-34: tiers are reached within the batch, as if the purchases had come one by one."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    for name, minimum in (("Silver", 25), ("Gold", 45)):
        await create_tier(world, salon.manager, name, "#C0C0C0", minimum)
    results = recorded(
        await record_purchases(world, salon.integration, [order(f"order-{number}", 1_000) for number in range(5)])
    )
    assert [one.tier_change is not None for one in results] == [False, False, True, False, True]
    # Every item shows the customer as the whole batch leaves them: that is what is stored.
    assert {one.customer.points.available for one in results} == {50}
    await ledger_is_sound(salon.tenant_id)


async def test_the_same_purchase_twice_in_one_batch_counts_once(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-08: the second one is a replay of the first."""
    await create_earning_rule(world, salon.manager, rule(10))
    batch = [order("same"), order("other"), order("same"), order("same")]
    results = await record_purchases(world, salon.integration, batch)
    assert kinds(results) == ["recorded", "recorded", "replayed", "replayed"]
    assert recorded(results)[-1].customer.points.available == 20
    await ledger_is_sound(salon.tenant_id)


async def test_a_purchase_may_go_through_its_life_in_one_batch(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await create_earning_rule(world, salon.manager, rule(10))
    life = [PurchaseStatus.CREATED, PurchaseStatus.COMPLETED, PurchaseStatus.PAID, PurchaseStatus.REFUNDED]
    results = await record_purchases(world, salon.integration, [order(status=status) for status in life])
    assert kinds(results) == ["recorded", "recorded", "StatusRunsBackwards", "recorded"]
    last = results[-1]
    assert isinstance(last, RecordedPurchase)
    assert (last.purchase.status, last.purchase.version) == ("REFUNDED", 3)
    assert last.customer.points.available == 0
    await ledger_is_sound(salon.tenant_id)


async def test_several_purchases_called_off_at_once_take_their_points_back_from_the_same_lot(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-05: what is gone from their own lots is taken from another one, by each of them."""
    await create_earning_rule(world, salon.manager, rule(10))
    for number in range(3):
        await earn(world, salon, order(f"order-{number}"))
    await give(world, salon, -25, "spent")
    await give(world, salon, 100, "bonus")
    called_off = [order(f"order-{number}", status=PurchaseStatus.CANCELLED) for number in range(3)]
    results = recorded(await record_purchases(world, salon.integration, called_off))
    assert {one.customer.points.available for one in results} == {75}
    await ledger_is_sound(salon.tenant_id)


async def test_one_batch_may_tell_of_a_customer_in_pieces(world: World, salon: Salon) -> None:
    """What a later item says wins; what it leaves out stays as the earlier one said."""
    profiles = [
        CustomerProfile("anna", full_name="Anna", email="ANNA@example.org"),
        CustomerProfile("anna", full_name="Anna Müller", locale="de-AT"),
    ]
    batch = [order(f"order-{number}", customer=profile) for number, profile in enumerate(profiles)]
    (first, second) = recorded(await record_purchases(world, salon.integration, batch))
    assert first.customer == second.customer
    assert (second.customer.full_name, second.customer.email, second.customer.locale) == (
        "Anna Müller",
        "anna@example.org",
        "de-AT",
    )


async def test_a_refused_item_does_not_even_rename_its_customer(world: World, salon: Salon) -> None:
    await create_earning_rule(world, salon.manager, rule(MAX_POINTS, conditions=Conditions(staff=frozenset({"mia"}))))
    await earn(world, salon, order("first", customer=CustomerProfile("anna", full_name="Anna"), staff="mia"))
    batch = [
        order("too much", customer=CustomerProfile("anna", full_name="Somebody"), staff="mia"),
        order("nothing", customer="anna"),
    ]
    refused, kept = await record_purchases(world, salon.integration, batch)
    assert isinstance(refused, LimitReached)
    assert isinstance(kept, RecordedPurchase)
    assert kept.customer.full_name == "Anna"


async def test_a_batch_of_late_refusals_takes_one_more_attempt_and_not_one_each(
    world: World, salon: Salon, nothing_changes: NothingChanges, statements: StatementLog
) -> None:
    """Points beyond the limit show only when customers are locked: all such items are found in one go."""
    await create_earning_rule(world, salon.manager, rule(MAX_POINTS))
    await earn(world, salon, order("first"))
    batch = [order(f"too much {number}") for number in range(50)]
    async with nothing_changes(salon.tenant_id):
        with statements() as sent:
            results = await record_purchases(world, salon.integration, batch)
        assert kinds(results) == ["LimitReached"] * 50
        assert len(sent) == 3


async def test_of_two_that_do_not_fit_together_the_first_one_stays(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await create_earning_rule(world, salon.manager, rule(MAX_POINTS))
    results = await record_purchases(world, salon.integration, [order("a"), order("b"), order("c", customer="ben")])
    assert kinds(results) == ["recorded", "LimitReached", "recorded"]
    await ledger_is_sound(salon.tenant_id)


@pytest.mark.parametrize("size", [0, MAX_BATCH + 1])
async def test_a_batch_has_a_size(world: World, salon: Salon, nothing_changes: NothingChanges, size: int) -> None:
    batch: list[PurchaseRecording] = [order(f"order-{number}") for number in range(size)]
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InvalidInput, match="between 1 and 1000"):
            await record_purchases(world, salon.integration, batch)


async def test_a_program_that_is_off_refuses_the_whole_batch(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    """BK-01."""
    await update_program(world, salon.manager, ProgramEdit(lambda it: replace(it, enabled=False), None))
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(FeatureDisabled):
            await record_purchases(world, salon.integration, [order("a"), order("b")])


async def test_a_batch_of_refused_items_asks_the_database_nothing(
    world: World, salon: Salon, statements: StatementLog
) -> None:
    with statements() as sent:
        results = await record_purchases(world, salon.integration, [order(""), order("x" * 256)])
    assert kinds(results) == ["InvalidInput", "InvalidInput"]
    assert sent == []
