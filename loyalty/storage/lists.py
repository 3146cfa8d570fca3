"""Pages of what happened: purchases, adjustments, holds and redemptions, each by its time, the newest first.

A list narrowed to a customer, or to nothing, reads its page from an index. Other filters are checked row by row on the
way, so a page of something rare in a long list reads more than it answers.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, or_

from loyalty.rules.adjustment import AdjustmentReason
from loyalty.rules.ids import CustomerId
from loyalty.rules.listing import PointsSign
from loyalty.rules.lots import LotState
from loyalty.rules.purchase import PurchaseKind, PurchaseStatus
from loyalty.rules.redemption import HoldState
from loyalty.storage.adjustments import AdjustmentRow
from loyalty.storage.expiry import LotRow
from loyalty.storage.narrowed import Narrowed, has_text
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.purchases import PurchaseRow, purchase_columns, purchase_row
from loyalty.storage.redemptions import HoldRow, RedemptionRow, hold_row, redemption_row
from loyalty.storage.tables import adjustments, holds, lots, purchases, redemptions
from loyalty.storage.window import TimePlace, Window
from tenancy.database import Transaction


class PurchaseFilter(NamedTuple):
    """What a list of purchases is narrowed to; None is no limit. ``search`` is a prefix of the external id."""

    customer_id: CustomerId | None = None
    kind: PurchaseKind | None = None
    statuses: Sequence[PurchaseStatus] | None = None
    external_ids: Sequence[str] | None = None
    search: str | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None


class AdjustmentFilter(NamedTuple):
    """What a list of adjustments is narrowed to; None is no limit. ``note`` stands in one of the two notes."""

    customer_id: CustomerId | None = None
    reasons: Sequence[AdjustmentReason] | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    sign: PointsSign | None = None
    actor: str | None = None
    note: str | None = None


class HoldFilter(NamedTuple):
    """What a list of holds is narrowed to; None is no limit."""

    customer_id: CustomerId | None = None
    states: Sequence[HoldState] | None = None
    purchase: PurchaseKey | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    actor: str | None = None


class RedemptionFilter(NamedTuple):
    """What a list of redemptions is narrowed to; None is no limit."""

    customer_id: CustomerId | None = None
    purchase: PurchaseKey | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    actor: str | None = None


class LotFilter(NamedTuple):
    """What a list of lots is narrowed to; None is no limit."""

    customer_id: CustomerId | None = None
    states: Sequence[LotState] | None = None


def narrow_purchases(wanted: PurchaseFilter) -> Narrowed:
    """Purchases by when they were first recorded."""
    rows = Narrowed(purchases, purchase_columns, purchases.c.recorded_at)
    rows.equal("customer_id", wanted.customer_id)
    rows.equal("kind", wanted.kind)
    rows.among("status", wanted.statuses)
    rows.among("external_id", wanted.external_ids)
    rows.starting("external_id", wanted.search)
    rows.within(wanted.start_at, wanted.end_at)
    return rows


def narrow_adjustments(wanted: AdjustmentFilter) -> Narrowed:
    """Adjustments by when they were made."""
    rows = Narrowed(adjustments, [adjustments.c[name] for name in AdjustmentRow._fields], adjustments.c.created_at)
    rows.equal("customer_id", wanted.customer_id)
    rows.among("reason", wanted.reasons)
    rows.within(wanted.start_at, wanted.end_at)
    rows.signed(wanted.sign)
    if wanted.actor is not None:
        actors = (adjustments.c.actor, adjustments.c.actor_subject)
        rows.add(or_(*(name == bindparam("is_actor") for name in actors)), is_actor=wanted.actor)
    if wanted.note is not None:
        notes = (adjustments.c.internal_note, adjustments.c.customer_description)
        rows.add(or_(*(has_text(note, "note") for note in notes)), note=wanted.note)
    return rows


def narrow_holds(wanted: HoldFilter) -> Narrowed:
    """Holds by when the points were set aside."""
    rows = Narrowed(holds, [holds.c[name] for name in HoldRow._fields], holds.c.created_at)
    rows.equal("customer_id", wanted.customer_id)
    rows.among("state", wanted.states)
    rows.of_purchase(wanted.purchase)
    rows.within(wanted.start_at, wanted.end_at)
    rows.equal("actor", wanted.actor)
    return rows


def narrow_redemptions(wanted: RedemptionFilter) -> Narrowed:
    """Redemptions by when the points were spent."""
    rows = Narrowed(redemptions, [redemptions.c[name] for name in RedemptionRow._fields], redemptions.c.redeemed_at)
    rows.equal("customer_id", wanted.customer_id)
    rows.of_purchase(wanted.purchase)
    rows.within(wanted.start_at, wanted.end_at)
    rows.equal("actor", wanted.actor)
    return rows


def narrow_lots(wanted: LotFilter) -> Narrowed:
    """Lots by when they came."""
    rows = Narrowed(lots, [lots.c[name] for name in LotRow._fields], lots.c.opened_at)
    rows.equal("customer_id", wanted.customer_id)
    rows.among("state", wanted.states)
    return rows


async def read_purchase_page(tx: Transaction, wanted: PurchaseFilter, window: Window[TimePlace]) -> list[PurchaseRow]:
    """A page of purchases."""
    return [purchase_row(row) for row in await narrow_purchases(wanted).read(tx, window)]


async def read_adjustment_page(
    tx: Transaction, wanted: AdjustmentFilter, window: Window[TimePlace]
) -> list[AdjustmentRow]:
    """A page of adjustments."""
    return [AdjustmentRow._make(row) for row in await narrow_adjustments(wanted).read(tx, window)]


async def read_hold_page(tx: Transaction, wanted: HoldFilter, window: Window[TimePlace]) -> list[HoldRow]:
    """A page of holds."""
    return [hold_row(row) for row in await narrow_holds(wanted).read(tx, window)]


async def read_redemption_page(
    tx: Transaction, wanted: RedemptionFilter, window: Window[TimePlace]
) -> list[RedemptionRow]:
    """A page of redemptions."""
    return [redemption_row(row) for row in await narrow_redemptions(wanted).read(tx, window)]


async def read_lot_page(tx: Transaction, wanted: LotFilter, window: Window[TimePlace]) -> list[LotRow]:
    """A page of lots."""
    return [LotRow._make(row) for row in await narrow_lots(wanted).read(tx, window)]
