"""Reports that leave things out, come late, come again or go back: what is kept, and what is refused."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from loyalty.rules.accrual import AccrualPolicy, AccrualState, EvaluateOn, MatureOn
from loyalty.rules.earning import Conditions, Weekday
from loyalty.rules.errors import CurrencyMismatch, IdempotencyConflict, InvalidInput, LoyaltyError
from loyalty.rules.money import Money
from loyalty.rules.purchase import PurchaseLine, PurchaseStatus
from loyalty.rules.purchase_errors import AmbiguousReport, ReportBelowRefunds, StatusRunsBackwards
from loyalty.rules.refund import LineRefund
from loyalty.services.earning_rule import create_earning_rule
from loyalty.services.maturing import mature_due
from loyalty.services.purchase import record_purchases
from loyalty.services.purchase_recording import RecordedPurchase
from loyalty.services.world import World
from tests.fixtures.invariants import LedgerCheck
from tests.fixtures.snapshots import NothingChanges, snapshot
from tests.fixtures.statements import StatementLog
from tests.fixtures.tenants import Salon
from tests.loyalty.services.builders import (
    NOON,
    at,
    earn,
    one_point_per_euro,
    order,
    pay_back,
    report,
    rule,
    set_policy,
)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CREATED, CONFIRMED, PAID, COMPLETED, CANCELLED, NO_SHOW, REFUNDED = PurchaseStatus
TOTAL = Money(4_000, "EUR")
CUT, OIL = PurchaseLine("cut", None, 1, 3_000), PurchaseLine("oil", None, 1, 1_000)


def states(results: list[RecordedPurchase | LoyaltyError]) -> list[str]:
    """Return what became of each report, in a word."""
    return [one.code if isinstance(one, LoyaltyError) else "replay" if one.replayed else "recorded" for one in results]


# ── what is left out ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_status_alone_keeps_all_that_is_known(world: World, salon: Salon, ledger_is_sound: LedgerCheck) -> None:
    """SB-04: the end of the service, the lines and the place stay, and so does the promise."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await set_policy(world, salon, mature_on=MatureOn.SERVICE_ENDED, delay_minutes=180)
    told: dict[str, Any] = {
        "total": TOTAL,
        "lines": (CUT, OIL),
        "location": "mitte",
        "staff": "mara",
        "ends_at": NOON + 9 * DAY,
    }
    first = await earn(at(world, NOON), salon, report(CREATED, **told))
    for status in (CONFIRMED, PAID, COMPLETED):
        later = await earn(at(world, NOON + HOUR), salon, report(status))
        assert later.purchase == first.purchase._replace(
            status=status, version=later.purchase.version, updated_at=later.purchase.updated_at
        )
        assert later.accrual is not None
        assert (later.accrual.points, later.accrual.state) == (40, AccrualState.PENDING)
        assert later.accrual.matures_at == NOON + 9 * DAY + 3 * HOUR
    assert (await mature_due(at(world, NOON + 9 * DAY), salon.tenant_id)).done == 0
    await ledger_is_sound(salon.tenant_id)


async def test_conditions_are_judged_by_all_that_was_told(world: World, salon: Salon) -> None:
    conditions = Conditions(locations=frozenset({"mitte"}), services=frozenset({"cut"}))
    await create_earning_rule(world, salon.manager, rule(10, conditions=conditions))
    await set_policy(world, salon, evaluate_on=EvaluateOn.PURCHASE_PAID)
    await earn(world, salon, report(CREATED, total=TOTAL, lines=(CUT, OIL), location="mitte"))
    paid = await earn(world, salon, report(PAID))
    assert paid.customer.points.available == 10


async def test_known_lines_can_be_refunded_after_a_report_of_the_status_alone(world: World, salon: Salon) -> None:
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await earn(world, salon, report(CREATED, total=TOTAL, lines=(CUT, OIL)))
    await earn(world, salon, report(PAID))
    paid_back = await pay_back(world, salon, "order-1", 0, "oil", LineRefund(1, 1))
    assert paid_back.refund.points == -10


async def test_a_status_alone_after_a_refund_in_parts_is_recorded(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await earn(world, salon, report(PAID, total=TOTAL, lines=(CUT, OIL)))
    await pay_back(world, salon, "order-1", 1_000, "a part")
    completed = await earn(world, salon, report(COMPLETED))
    assert (completed.purchase.status, completed.customer.points.available) == (COMPLETED, 30)
    with pytest.raises(ReportBelowRefunds):
        await earn(world, salon, report(COMPLETED, total=Money(1, "EUR")))
    await ledger_is_sound(salon.tenant_id)


async def test_null_takes_away_what_may_be_unknown(world: World, salon: Salon) -> None:
    await earn(world, salon, report(CREATED, total=TOTAL, lines=(CUT,), location="mitte", staff="mara"))
    after = await earn(world, salon, report(CREATED, location=None, lines=()))
    assert (after.purchase.location, after.purchase.staff, after.purchase.lines) == (None, "mara", [])
    assert (after.purchase.total, after.replayed) == (TOTAL, False)


@pytest.mark.parametrize(
    ("told", "refusal", "path"),
    [
        ({}, InvalidInput, ("total",)),
        ({"lines": (CUT,), "line_currency": "USD"}, CurrencyMismatch, ("lines", "0", "unit_price", "currency")),
        ({"total": Money(1, "USD")}, CurrencyMismatch, ("total", "currency")),
    ],
)
async def test_a_first_report_without_what_it_needs_is_refused(
    world: World,
    salon: Salon,
    nothing_changes: NothingChanges,
    told: dict[str, Any],
    refusal: type[LoyaltyError],
    path: tuple[str, ...],
) -> None:
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(refusal) as refused:
            await earn(world, salon, report(CREATED, **told))
    assert refused.value.path == path


# ── order ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_there_and_back_needs_a_time_or_a_key(
    world: World, salon: Salon, nothing_changes: NothingChanges, ledger_is_sound: LedgerCheck
) -> None:
    """Moved from the 10th to the 20th and back: a late retry of the first report looks just the same."""
    await create_earning_rule(world, salon.manager, one_point_per_euro())
    await set_policy(world, salon, mature_on=MatureOn.SERVICE_ENDED)
    tenth, twentieth = NOON + 10 * DAY, NOON + 20 * DAY
    await earn(at(world, NOON), salon, order(total=4_000, ends_at=tenth))
    await earn(at(world, NOON), salon, report(CREATED, ends_at=twentieth))
    for back in (order(total=4_000, ends_at=tenth), report(CREATED, ends_at=tenth)):
        async with nothing_changes(salon.tenant_id):
            with pytest.raises(AmbiguousReport):
                await earn(at(world, NOON), salon, back)
    keyed = order(total=4_000, ends_at=tenth)._replace(idempotency_key="moved-back")
    assert (await earn(at(world, NOON), salon, keyed)).purchase.ends_at == tenth
    assert (await earn(at(world, NOON), salon, keyed)).replayed
    await earn(at(world, NOON + HOUR), salon, report(CREATED, ends_at=twentieth, occurred_at=NOON + HOUR))
    again = await earn(at(world, NOON + HOUR), salon, keyed)
    assert (again.replayed, again.purchase.ends_at) == (True, twentieth)
    timed = await earn(at(world, NOON + 2 * HOUR), salon, report(CREATED, ends_at=tenth, occurred_at=NOON + 2 * HOUR))
    assert timed.accrual is not None
    assert (timed.purchase.ends_at, timed.accrual.matures_at) == (tenth, tenth)
    await ledger_is_sound(salon.tenant_id)


async def test_completed_cancelled_completed_needs_a_time_or_a_key(
    world: World, salon: Salon, nothing_changes: NothingChanges, ledger_is_sound: LedgerCheck
) -> None:
    await create_earning_rule(world, salon.manager, rule(10))
    await earn(world, salon, order(status=COMPLETED))
    await earn(world, salon, report(CANCELLED))
    for back in (order(status=COMPLETED), report(COMPLETED), report(COMPLETED, total=Money(10_000, "EUR"))):
        async with nothing_changes(salon.tenant_id):
            with pytest.raises(AmbiguousReport):
                await earn(world, salon, back)
    revived = await earn(world, salon, report(COMPLETED, key="he came after all"))
    assert (revived.purchase.generation, revived.customer.points.available) == (2, 10)
    cancelled = await earn(world, salon, report(CANCELLED, key="he did not"))
    assert cancelled.customer.points.available == 0
    await ledger_is_sound(salon.tenant_id)


async def test_a_key_names_one_report(world: World, salon: Salon, nothing_changes: NothingChanges) -> None:
    await earn(world, salon, report(CREATED, total=TOTAL, key="one"))
    unchanged = await earn(world, salon, report(CREATED, key="two"))
    assert (unchanged.replayed, unchanged.purchase.version) == (False, 2)
    async with nothing_changes(salon.tenant_id):
        assert (await earn(world, salon, report(CREATED, key="two"))).replayed
        with pytest.raises(IdempotencyConflict):
            await earn(world, salon, report(PAID, key="two"))
        with pytest.raises(InvalidInput) as refused:
            await earn(world, salon, report(PAID, key=""))
    assert refused.value.path == ("idempotency_key",)
    other = await earn(world, salon, report(CREATED, "order-2", total=TOTAL, key="one"))
    assert not other.replayed


async def test_a_retry_of_a_keyed_report_does_not_undo_what_came_after_it(world: World, salon: Salon) -> None:
    """A key is kept even where its report said nothing new: later its retry must be known."""
    await earn(world, salon, report(CREATED, total=TOTAL, staff="mara"))
    await earn(world, salon, report(CREATED, staff="mara", key="sync-1"))
    await earn(world, salon, report(CREATED, staff="ben", key="sync-2"))
    again = await earn(world, salon, report(CREATED, staff="mara", key="sync-1"))
    assert (again.replayed, again.purchase.staff) == (True, "ben")


async def test_reports_with_times_may_arrive_in_any_order(
    world: World, salon: Salon, nothing_changes: NothingChanges
) -> None:
    """C-20: paid is known first, without the lines that the creation told."""
    await earn(at(world, NOON), salon, report(PAID, total=TOTAL, occurred_at=NOON))
    created = report(CREATED, total=Money(9_900, "EUR"), lines=(CUT,), staff="mara", occurred_at=NOON - HOUR)
    late = await earn(at(world, NOON), salon, created)
    assert (late.purchase.status, late.purchase.total, late.replayed) == (PAID, TOTAL, False)
    assert (late.purchase.staff, len(late.purchase.lines), late.purchase.occurred_at) == ("mara", 1, NOON)
    async with nothing_changes(salon.tenant_id):
        assert (await earn(at(world, NOON), salon, created)).replayed
        with pytest.raises(StatusRunsBackwards):
            await earn(at(world, NOON), salon, report(CONFIRMED, staff="ben", occurred_at=NOON - 2 * HOUR))


async def test_a_retry_across_the_upgrade_is_a_replay(world: World, salon: Salon, owner_world: World) -> None:
    """The first release took null for absent, and kept no mark of what was known after a report."""
    sent = report(CREATED, total=TOTAL, location=None, lines=())
    await earn(world, salon, sent)
    await earn(world, salon, report(PAID))
    async with owner_world.database.tenant_transaction(salon.tenant_id) as tx:
        await tx.run(
            text(
                "UPDATE purchase_facts SET fingerprint = :mark, state_mark = NULL"
                " WHERE tenant_id = :current_tenant AND version = 1"
            ),
            mark=sent.fingerprints().former,
        )
    assert sent.fingerprints().former != sent.fingerprint()
    again = await earn(world, salon, sent)
    assert (again.replayed, again.purchase.status) == (True, PAID)


async def test_a_batch_may_hold_several_reports_of_one_purchase(world: World, salon: Salon) -> None:
    batch = [
        report(CREATED, total=TOTAL, ends_at=NOON),
        report(CREATED, ends_at=NOON + DAY),
        report(CREATED, ends_at=NOON),
        report(CREATED, ends_at=NOON, key="back"),
        report(CREATED, ends_at=NOON, key="back"),
        report(PAID),
    ]
    results = await record_purchases(world, salon.integration, batch)
    assert states(results) == ["recorded", "recorded", "AMBIGUOUS_REPORT", "recorded", "replay", "recorded"]
    last = results[-1]
    assert isinstance(last, RecordedPurchase)
    assert (last.purchase.ends_at, last.purchase.status) == (NOON, PAID)


async def test_thin_reports_take_as_many_statements_as_full_ones(
    world: World, salon: Salon, statements: StatementLog
) -> None:
    await create_earning_rule(world, salon.manager, rule(10))
    await earn(world, salon, report(CREATED, total=TOTAL))
    with statements() as sent:
        await earn(world, salon, report(PAID, key="paid", occurred_at=NOON))
    assert len(sent) <= 5


# ── what is not known is not now ─────────────────────────────────────────────────────────────────────────────────────


async def test_points_wait_until_the_end_of_the_service_is_known(
    world: World, salon: Salon, ledger_is_sound: LedgerCheck
) -> None:
    """SB-04: without an end they are pending with no date, until an end or the completion is told."""
    await create_earning_rule(world, salon.manager, rule(10))
    await set_policy(world, salon, mature_on=MatureOn.SERVICE_ENDED, delay_minutes=180)
    for external_id in ("ends", "completed"):
        for status in (CREATED, PAID):
            waiting = await earn(at(world, NOON), salon, report(status, external_id, total=TOTAL))
            assert waiting.accrual is not None
            assert (waiting.accrual.state, waiting.accrual.matures_at) == (AccrualState.PENDING, None)
    assert (await mature_due(at(world, NOON + 99 * DAY), salon.tenant_id)).done == 0
    known = await earn(at(world, NOON), salon, report(PAID, "ends", ends_at=NOON + DAY))
    assert known.accrual is not None
    assert known.accrual.matures_at == NOON + DAY + 3 * HOUR
    moved = await earn(at(world, NOON), salon, report(PAID, "ends", ends_at=None, occurred_at=NOON))
    assert moved.accrual is not None
    assert moved.accrual.matures_at is None
    done = await earn(at(world, NOON + HOUR), salon, report(COMPLETED, "completed", occurred_at=NOON - HOUR))
    assert done.accrual is not None
    assert done.accrual.matures_at == NOON + 2 * HOUR
    await ledger_is_sound(salon.tenant_id)


async def test_a_report_counts_from_when_it_came_about(world: World, salon: Salon) -> None:
    """A till that was offline loses neither the campaign nor its weekday, and points wait no longer."""
    campaign = rule(50, starts_at=NOON - DAY, ends_at=NOON + HOUR)
    wednesdays = rule(7, conditions=Conditions(weekdays=frozenset({Weekday.WED})), priority=1)
    for one in (campaign, wednesdays):
        await create_earning_rule(world, salon.manager, one)
    await set_policy(world, salon, delay_minutes=24 * 60)
    late = at(world, NOON + 3 * DAY)
    offline = await earn(late, salon, report(PAID, "offline", total=TOTAL, occurred_at=NOON))
    assert offline.accrual is not None
    assert (offline.accrual.points, offline.accrual.matures_at) == (57, NOON + DAY)
    assert offline.accrual.evaluated_at == NOON + 3 * DAY
    untold = await earn(late, salon, report(PAID, "untold", total=TOTAL))
    assert untold.accrual is not None
    assert untold.accrual.points == 0
    await set_policy(world, salon, latest_report_minutes=24 * 60)
    too_old = await earn(late, salon, report(PAID, "old", total=TOTAL, occurred_at=NOON))
    assert too_old.accrual is not None
    assert too_old.accrual.points == 0


async def test_a_report_from_the_future_is_refused(
    world: World, salon: Salon, nothing_changes: NothingChanges, owner_world: World
) -> None:
    """One in 2999 would make every later report of its purchase late."""
    await earn(at(world, NOON), salon, report(CREATED, total=TOTAL))
    async with nothing_changes(salon.tenant_id):
        with pytest.raises(InvalidInput) as refused:
            await earn(at(world, NOON), salon, report(PAID, occurred_at=NOON + HOUR + timedelta(seconds=1)))
    assert refused.value.path == ("occurred_at",)
    async with owner_world.database.tenant_transaction(salon.tenant_id) as tx:
        await tx.run(text("UPDATE purchases SET occurred_at = '2999-01-01Z' WHERE tenant_id = :current_tenant"))
    healed = await earn(at(world, NOON), salon, report(PAID, occurred_at=NOON))
    assert (healed.purchase.status, healed.purchase.occurred_at) == (PAID, NOON)


async def test_every_report_is_kept_with_its_key(world: World, salon: Salon) -> None:
    await earn(world, salon, report(CREATED, total=TOTAL, key="one"))
    await earn(world, salon, report(PAID))
    facts = (await snapshot(world.database, salon.tenant_id))["purchase_facts"]
    assert len(facts) == 2
    assert sum("one" in fact for fact in facts) == 1


def test_a_policy_says_how_late_a_report_may_count() -> None:
    assert AccrualPolicy().latest_report == 30 * DAY
    assert replace(AccrualPolicy(), latest_report_minutes=0).latest_report == timedelta(0)
