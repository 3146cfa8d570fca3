"""Correcting points by hand: signed, explained, once, and never more than there is unless the salon says so."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from loyalty.log.reading import list_events
from loyalty.rules.account import Overdraft
from loyalty.rules.adjustment import AdjustmentReason
from loyalty.rules.customer import CustomerProfile
from loyalty.rules.errors import (
    FeatureDisabled,
    IdempotencyConflict,
    InsufficientPoints,
    InvalidInput,
    LimitReached,
    LoyaltyError,
    NotFound,
)
from loyalty.rules.ids import CustomerId
from loyalty.rules.points import MAX_POINTS
from loyalty.services.adjustment import AdjustmentRequest, adjust_points, load_adjustments
from loyalty.services.customer import CustomerKey, list_activity
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.program import ProgramEdit, update_program
from loyalty.services.tier import create_tier
from loyalty.services.world import World
from loyalty.storage.entries import EntryFilter
from loyalty.storage.window import Window
from tenancy.database import Database
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges, snapshot
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    NOBODY,
    NOON,
    adjustment,
    at,
    customer_actor,
    earn,
    give,
    known_customer,
    order,
    position_all_events,
    rule,
)


async def customer_with(world: World, salon: Salon, points: int) -> CustomerId:
    """Create Anna, and give her so many points by hand."""
    customer_id = await known_customer(world, salon)
    if points:
        await give(world, salon, points, "start")
    return customer_id


# ── giving and taking ────────────────────────────────────────────────────────────────────────────────────────────


async def test_points_are_given_and_taken_by_hand(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    """BK-43, SB-25, C-18: one signed form, and the answer shows the resulting balance (F-32)."""
    await customer_with(world, salon, 0)
    given = await give(world, salon, 50, "give")
    taken = await give(world, salon, -20, "take")
    assert (given.adjustment.points, given.customer.points.available) == (50, 50)
    assert (taken.adjustment.points, taken.customer.points.available) == (-20, 30)
    assert not given.replayed
    # What is given by hand is nothing that was earned.
    assert taken.customer.points.lifetime_earned == 0
    await ledger_is_sound(salon.tenant_id)


async def test_an_adjustment_can_be_looked_up_with_all_that_was_said(world: World, salon: Salon) -> None:
    """BK-45, BK-46, BK-47, PB-09, PB-16, C-17: value, reason, both notes, who and when."""
    customer_id = await customer_with(world, salon, 0)
    request = adjustment(
        25,
        reason=AdjustmentReason.LOYALTY_BONUS,
        internal_note="10 years with us",
        customer_description="Thank you!",
    )
    made = await adjust_points(at(world, NOON), salon.manager, request)
    kept = (await load_adjustments(world, salon.manager, [made.adjustment.id]))[made.adjustment.id]
    assert kept == made.adjustment
    assert (kept.customer_id, kept.points, kept.requested_points) == (customer_id, 25, 25)
    assert (kept.reason, kept.internal_note, kept.customer_description) == (
        "LOYALTY_BONUS",
        "10 years with us",
        "Thank you!",
    )
    assert (kept.actor_kind, kept.actor, kept.actor_subject, kept.created_at) == (
        "STAFF",
        "The manager",
        "staff:manager",
        NOON,
    )


async def test_notes_are_optional_and_an_empty_one_is_none(world: World, salon: Salon) -> None:
    """BK-45."""
    await customer_with(world, salon, 0)
    made = await give(world, salon, 5, "empty", internal_note="", customer_description="")
    assert (made.adjustment.internal_note, made.adjustment.customer_description) == (None, None)


@pytest.mark.parametrize("reason", list(AdjustmentReason))
async def test_every_reason_can_be_given(world: World, salon: Salon, reason: AdjustmentReason) -> None:
    """BK-47, PB-09."""
    await customer_with(world, salon, 0)
    assert (await give(world, salon, 5, "key", reason=reason)).adjustment.reason is reason


@pytest.mark.parametrize("by", ["id", "external_id", "email"])
async def test_a_customer_is_named_in_one_of_three_ways(world: World, salon: Salon, by: str) -> None:
    """BK-44."""
    profile = CustomerProfile("anna", email="anna@example.org")
    customer = (await earn(world, salon, order(customer=profile))).customer
    keys = {
        "id": CustomerKey(id=customer.id),
        "external_id": CustomerKey(external_id="anna"),
        "email": CustomerKey(email="Anna@Example.org"),
    }
    made = await adjust_points(world, salon.manager, adjustment(5)._replace(customer=keys[by]))
    assert made.adjustment.customer_id == customer.id


async def test_an_adjustment_is_told_once(world: World, salon: Salon, relay_database: Database) -> None:
    customer_id = await customer_with(world, salon, 0)
    made = await give(world, salon, 30, "told")
    await give(world, salon, 30, "told")
    await position_all_events(relay_database)
    (event,) = await list_events(world.database, salon.tenant_id, after=0)
    assert (event.kind, event.customer_id) == ("points.adjusted", customer_id)
    assert event.payload["adjustment_id"] == str(made.adjustment.id)
    assert (event.payload["points"], event.payload["available"]) == (30, 30)


# ── what counts for the tier ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("points", "reason", "qualifying", "counted"),
    [
        pytest.param(10, AdjustmentReason.BONUS, None, 110, id="added: counts"),
        pytest.param(-10, AdjustmentReason.GOODWILL, None, 100, id="removed: does not count"),
        pytest.param(-10, AdjustmentReason.CORRECTION, None, 90, id="removed to correct a mistake: counts"),
        pytest.param(10, AdjustmentReason.BONUS, False, 100, id="as the caller says: does not count"),
        pytest.param(-10, AdjustmentReason.OTHER, True, 90, id="as the caller says: counts"),
    ],
)
async def test_an_adjustment_counts_for_the_tier_as_its_reason_says(
    world: World,
    salon: Salon,
    ledger_is_sound: LedgerCheck,
    points: int,
    reason: AdjustmentReason,
    qualifying: bool | None,  # noqa: FBT001 - a case of the table
    counted: int,
) -> None:
    """C-07."""
    await customer_with(world, salon, 100)
    made = await give(world, salon, points, "key", reason=reason, qualifying=qualifying)
    assert made.customer.points.qualifying == counted
    assert made.adjustment.qualifying == (counted != 100)
    await ledger_is_sound(salon.tenant_id)


async def test_an_adjustment_moves_the_tier_up_and_down(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """BK-35, C-27: with its cause, so that nobody takes it for collected points."""
    silver = await create_tier(world, salon.manager, "Silver", "#C0C0C0", 100)
    await customer_with(world, salon, 0)
    up = await give(world, salon, 100, "up")
    down = await give(world, salon, -1, "down", reason=AdjustmentReason.CORRECTION)
    assert up.tier_change is not None
    assert down.tier_change is not None
    assert (up.tier_change.to_tier_id, up.tier_change.cause) == (silver.tier.id, "ADJUSTMENT")
    assert (down.tier_change.from_tier_id, down.tier_change.to_tier_id) == (silver.tier.id, None)
    assert down.customer.tier is None
    await ledger_is_sound(salon.tenant_id)


async def test_a_correction_may_take_more_than_ever_qualified(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await customer_with(world, salon, 0)
    made = await give(world, salon, -10, "key", reason=AdjustmentReason.CORRECTION, overdraft=Overdraft.ALLOW_NEGATIVE)
    assert (made.customer.points.qualifying, made.customer.points.debt) == (-10, 10)
    await ledger_is_sound(salon.tenant_id)


# ── more than there is ───────────────────────────────────────────────────────────────────────────────────────────


async def test_more_than_the_balance_is_refused(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    """C-19: REJECT."""
    await customer_with(world, salon, 50)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InsufficientPoints) as refused:
            await give(world, salon, -51, "too much")
    assert (refused.value.available, refused.value.required) == (50, 51)


async def test_the_whole_balance_may_be_taken(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    """C-19."""
    await customer_with(world, salon, 50)
    assert (await give(world, salon, -50, "all")).customer.points.available == 0
    await ledger_is_sound(salon.tenant_id)


async def test_clamping_takes_what_is_there(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    """C-19: CLAMP, and what was asked for stays known."""
    await customer_with(world, salon, 50)
    made = await give(world, salon, -80, "clamped", overdraft=Overdraft.CLAMP)
    assert (made.adjustment.points, made.adjustment.requested_points) == (-50, -80)
    assert (made.customer.points.available, made.customer.points.debt) == (0, 0)
    await ledger_is_sound(salon.tenant_id)


async def test_clamping_where_nothing_is_left_is_refused(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    """An entry of no points would explain nothing; and the key stays free."""
    await customer_with(world, salon, 0)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InsufficientPoints):
            await give(world, salon, -1, "clamped", overdraft=Overdraft.CLAMP)
    assert not (await give(world, salon, 1, "clamped")).replayed


async def test_a_balance_below_zero_is_debt_which_the_next_points_pay_first(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """C-19: ALLOW_NEGATIVE."""
    await customer_with(world, salon, 50)
    below = await give(world, salon, -80, "below", overdraft=Overdraft.ALLOW_NEGATIVE)
    assert (below.adjustment.points, below.customer.points.available, below.customer.points.debt) == (-80, 0, 30)
    some = await give(world, salon, 10, "some of it")
    assert (some.customer.points.available, some.customer.points.debt) == (0, 20)
    rest = await give(world, salon, 25, "the rest and more")
    assert (rest.customer.points.available, rest.customer.points.debt) == (5, 0)
    balances = [
        entry.balance_after
        for entry in await list_activity(world, salon.manager, EntryFilter(rest.customer.id), Window(10))
    ]
    assert balances == [5, -20, -30, 50]
    await ledger_is_sound(salon.tenant_id)


async def test_debt_upon_debt(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    await customer_with(world, salon, 0)
    await give(world, salon, -30, "first", overdraft=Overdraft.ALLOW_NEGATIVE)
    second = await give(world, salon, -12, "second", overdraft=Overdraft.ALLOW_NEGATIVE)
    assert second.customer.points.debt == 42
    await ledger_is_sound(salon.tenant_id)


async def test_points_are_taken_from_the_lot_that_expires_first(
    world: World, owner_world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """F-13: soonest expiry first, no expiry last, then the oldest."""
    await known_customer(world, salon)
    lots = ("oldest, for ever", "in 3 days", "in 1 day", "youngest, for ever", "gone tomorrow at noon")
    for number, name in enumerate(lots):
        await adjust_points(at(world, NOON + timedelta(minutes=number)), salon.manager, adjustment(10, name))
    await _set_expiry(owner_world, salon, {"in 3 days": 3, "in 1 day": 1, "gone tomorrow at noon": 1})
    taken = await adjust_points(at(world, NOON + timedelta(hours=1)), salon.manager, adjustment(-45, "take"))
    assert taken.customer.points.available == 5
    assert await _left(owner_world, salon) == {
        "in 1 day": 0,
        "gone tomorrow at noon": 0,
        "in 3 days": 0,
        "oldest, for ever": 0,
        "youngest, for ever": 5,
    }
    await ledger_is_sound(salon.tenant_id)


async def test_points_that_have_expired_cannot_be_taken_even_before_anybody_swept(
    world: World, owner_world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    """PB-13: unspendable at that very instant."""
    await known_customer(world, salon)
    for name in ("expired", "fresh"):
        await adjust_points(at(world, NOON), salon.manager, adjustment(10, name))
    await _set_expiry(owner_world, salon, {"expired": 1})
    at_the_instant = at(world, NOON + timedelta(days=1))
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InsufficientPoints):
            await adjust_points(at_the_instant, salon.manager, adjustment(-11, "take"))
    await adjust_points(at_the_instant, salon.manager, adjustment(-10, "take"))
    assert await _left(owner_world, salon) == {"expired": 0, "fresh": 0}
    assert await _expired(owner_world, salon) == 10


async def _set_expiry(owner_world: World, salon: Salon, days: dict[str, int]) -> None:
    """Give lots an expiry, by the idempotency key that they came with; no use case does so yet."""
    async with owner_world.database.tenant_transaction(salon.tenant_id) as tx:
        for key, number in days.items():
            await tx.run(
                text(
                    "UPDATE lots l SET expires_at = :at, opened_expires_at = :at FROM entries e, idempotency_keys k "
                    "WHERE e.id = l.entry_id AND k.result_id = e.cause_id AND k.key = :key"
                ),
                at=NOON + timedelta(days=number),
                key=key,
            )


async def _expired(owner_world: World, salon: Salon) -> int:
    """Return how many points the ledger says have expired."""
    async with owner_world.database.tenant_transaction(salon.tenant_id) as tx:
        row = await tx.row(text("SELECT -sum(points) AS points FROM entries WHERE kind = 'EXPIRED'"))
    return int(row.points) if row else 0


async def _left(owner_world: World, salon: Salon) -> dict[str, int]:
    """Return what is left in each lot, by the idempotency key that it came with."""
    async with owner_world.database.tenant_transaction(salon.tenant_id) as tx:
        rows = await tx.rows(
            text(
                "SELECT k.key, l.remaining FROM lots l JOIN entries e ON e.id = l.entry_id "
                "JOIN idempotency_keys k ON k.result_id = e.cause_id"
            )
        )
    return {row.key: row.remaining for row in rows}


# ── once ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_same_request_again_has_the_first_answer(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    """F-33: also when the balance would not allow it a second time."""
    await create_tier(world, salon.manager, "Silver", "#C0C0C0", 50)
    await customer_with(world, salon, 50)
    first = await give(world, salon, -50, "key")
    async with nothing_changes(salon.tenant_id):
        for _ in range(5):
            again = await give(world, salon, -50, "key")
            assert again == first._replace(replayed=True)


async def test_a_replay_still_tells_of_the_tier_change(world: World, salon: Salon) -> None:
    await create_tier(world, salon.manager, "Silver", "#C0C0C0", 50)
    await customer_with(world, salon, 0)
    first, again = [await give(world, salon, 60, "key") for _ in range(2)]
    assert first.tier_change is not None
    assert again.tier_change == first.tier_change


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(adjustment(11), id="other points"),
        pytest.param(adjustment(10, customer="ben"), id="other customer"),
        pytest.param(adjustment(10, reason=AdjustmentReason.BONUS), id="other reason"),
        pytest.param(adjustment(10, internal_note="note"), id="other note"),
        pytest.param(adjustment(10, customer_description="text"), id="other description"),
        pytest.param(adjustment(10, qualifying=False), id="other qualifying"),
        pytest.param(adjustment(10, overdraft=Overdraft.CLAMP), id="other overdraft"),
    ],
)
async def test_a_used_key_for_something_else_is_a_conflict(
    world: World, salon: Salon, nothing_changes: NothingChanges, other: AdjustmentRequest
) -> None:
    """F-33."""
    await known_customer(world, salon, "ben")
    await customer_with(world, salon, 0)
    await adjust_points(world, salon.manager, adjustment(10))
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(IdempotencyConflict):
            await adjust_points(world, salon.manager, other)


async def test_a_refused_request_leaves_its_key_free(world: World, salon: Salon) -> None:
    await customer_with(world, salon, 0)
    with pytest.raises(InsufficientPoints):
        await give(world, salon, -10, "key")
    await give(world, salon, 10, "more")
    assert (await give(world, salon, -10, "key")).customer.points.available == 0


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("request_", "refusal", "path"),
    [
        pytest.param(adjustment(0), InvalidInput, ("points",), id="F-43: no points at all"),
        pytest.param(adjustment(MAX_POINTS + 1), InvalidInput, ("points",), id="more than can be shown"),
        pytest.param(adjustment(-MAX_POINTS - 1), InvalidInput, ("points",), id="less than can be shown"),
        pytest.param(adjustment(MAX_POINTS), LimitReached, (), id="more than an account holds"),
        pytest.param(adjustment(5, ""), InvalidInput, ("idempotency_key",), id="F-33: no key"),
        pytest.param(adjustment(5, "k" * 256), InvalidInput, ("idempotency_key",), id="key too long"),
        pytest.param(adjustment(5, "k\0"), InvalidInput, ("idempotency_key",), id="NUL in the key"),
        pytest.param(adjustment(5, internal_note="n" * 2_001), InvalidInput, ("internal_note",), id="long note"),
        pytest.param(adjustment(5, internal_note="\0"), InvalidInput, ("internal_note",), id="NUL in the note"),
        pytest.param(
            adjustment(5, customer_description="d" * 501), InvalidInput, ("customer_description",), id="long text"
        ),
        pytest.param(adjustment(5, customer="nobody"), NotFound, ("customer",), id="no such external id"),
        pytest.param(
            adjustment(5)._replace(customer=CustomerKey(id=CustomerId(NOBODY))),
            NotFound,
            ("customer",),
            id="no such id",
        ),
        pytest.param(
            adjustment(5)._replace(customer=CustomerKey(email="no@where.org")),
            NotFound,
            ("customer",),
            id="no such e-mail",
        ),
        pytest.param(adjustment(5)._replace(customer=CustomerKey()), NotFound, ("customer",), id="nobody named"),
    ],
)
async def test_an_invalid_adjustment_is_refused_and_leaves_nothing(
    world: World,
    salon: Salon,
    nothing_changes: NothingChanges,
    request_: AdjustmentRequest,
    refusal: type[LoyaltyError],
    path: tuple[str, ...],
) -> None:
    """BK-45."""
    await customer_with(world, salon, 1)
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(refusal) as refused:
            await adjust_points(world, salon.manager, request_)
    assert refused.value.path == path


async def test_a_program_that_is_off_adjusts_nothing(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    """BK-01."""
    await customer_with(world, salon, 0)
    await update_program(world, salon.manager, ProgramEdit(lambda it: replace(it, enabled=False), None))
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(FeatureDisabled):
            await give(world, salon, 5, "key")


async def test_a_customer_sees_only_their_own_adjustments(world: World, salon: Salon) -> None:
    await create_earning_rule(world, salon.manager, rule(10))
    anna = await known_customer(world, salon, "anna")
    await known_customer(world, salon, "ben")
    mine = (await give(world, salon, 5, "mine")).adjustment
    other = (await give(world, salon, 5, "other", customer="ben")).adjustment
    seen = await load_adjustments(world, customer_actor(salon.tenant_id, anna), [mine.id, other.id])
    assert set(seen) == {mine.id}
    assert len((await snapshot(world.database, salon.tenant_id))["adjustments"]) == 2


async def test_the_sign_of_what_is_stored_is_that_of_what_was_asked_for(
    world: World, salon: Salon, owner_world: World
) -> None:
    """F-43: one signed form, and the database itself refuses to turn it around or to make it larger."""
    await customer_with(world, salon, 10)
    await give(world, salon, -5, "taken")
    for change in ("points = -points", "requested_points = -requested_points", "points = points - 1", "points = 0"):
        with pytest.raises(IntegrityError, match="adjustments_points_check"):
            async with owner_world.database.tenant_transaction(salon.tenant_id) as tx:
                await tx.run(text(f"UPDATE adjustments SET {change} WHERE points < 0"))
