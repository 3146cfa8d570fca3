"""Pages of purchases, adjustments, holds, redemptions and lots, each ordered by time, the newest first.

An index serves a list that is limited to a customer, to locations, or to nothing. Other filters check row by row. So a
page of rare rows in a long list reads more rows than it returns.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, Table, or_, select

from loyalty.rules.adjustment import AdjustmentReason
from loyalty.rules.ids import CustomerId
from loyalty.rules.listing import PointsSign
from loyalty.rules.lots import LotState
from loyalty.rules.purchase import PurchaseKind, PurchaseStatus
from loyalty.rules.redemption import HoldState
from loyalty.storage.adjustments import AdjustmentRow
from loyalty.storage.expiry import LotRow
from loyalty.storage.holds import HoldRow, hold_row
from loyalty.storage.narrowed import Narrowed, has_text
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.purchases import PurchaseRow, purchase_columns, purchase_row
from loyalty.storage.redemptions import RedemptionRow, redemption_row
from loyalty.storage.tables import adjustments, holds, lots, purchases, redemptions
from loyalty.storage.window import Keyset, TimePlace, Window
from tenancy.reading import Reads
from tenancy.table import tenant_parameter


class PurchaseFilter(NamedTuple):
    """Limits a list of purchases; None is no limit. ``search`` is a prefix of the external id."""

    customer_id: CustomerId | None = None
    kind: PurchaseKind | None = None
    statuses: Sequence[PurchaseStatus] | None = None
    external_ids: Sequence[str] | None = None
    search: str | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    locations: Sequence[str] | None = None


class AdjustmentFilter(NamedTuple):
    """Limits a list of adjustments; None is no limit. ``note`` is a text inside one of the two notes."""

    customer_id: CustomerId | None = None
    reasons: Sequence[AdjustmentReason] | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    sign: PointsSign | None = None
    actor: str | None = None
    note: str | None = None
    locations: Sequence[str] | None = None


class HoldFilter(NamedTuple):
    """Limits a list of holds; None is no limit."""

    customer_id: CustomerId | None = None
    states: Sequence[HoldState] | None = None
    purchase: PurchaseKey | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    actor: str | None = None
    locations: Sequence[str] | None = None


class RedemptionFilter(NamedTuple):
    """Limits a list of redemptions; None is no limit."""

    customer_id: CustomerId | None = None
    purchase: PurchaseKey | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    actor: str | None = None
    locations: Sequence[str] | None = None


class LotFilter(NamedTuple):
    """Limits a list of lots; None is no limit."""

    customer_id: CustomerId | None = None
    states: Sequence[LotState] | None = None


OfLocations = PurchaseFilter | AdjustmentFilter | HoldFilter | RedemptionFilter


def _rows(table: Table, columns: Sequence[Any]) -> Select[Any]:
    return select(*columns).where(table.c.tenant_id == tenant_parameter())


_PURCHASES = _rows(purchases, purchase_columns)
_ADJUSTMENTS = _rows(adjustments, [adjustments.c[name] for name in AdjustmentRow._fields])
_HOLDS = _rows(holds, [holds.c[name] for name in HoldRow._fields])
_REDEMPTIONS = _rows(redemptions, [redemptions.c[name] for name in RedemptionRow._fields])
_LOTS = _rows(lots, [lots.c[name] for name in LotRow._fields])
_BY_RECORDING = Keyset((purchases.c.recorded_at, purchases.c.id), descending=True)
_BY_ADJUSTING = Keyset((adjustments.c.created_at, adjustments.c.id), descending=True)
_BY_HOLDING = Keyset((holds.c.created_at, holds.c.id), descending=True)
_BY_REDEEMING = Keyset((redemptions.c.redeemed_at, redemptions.c.id), descending=True)
_BY_OPENING = Keyset((lots.c.opened_at, lots.c.id), descending=True)


def narrow_purchases(wanted: PurchaseFilter) -> Narrowed:
    """Return the list of purchases, ordered by their first report."""
    known, rows = purchases.c, Narrowed(_PURCHASES, _BY_RECORDING)
    rows.keep_equal(known.customer_id, wanted.customer_id)
    rows.keep_equal(known.kind, wanted.kind)
    rows.keep_among(known.status, wanted.statuses)
    rows.keep_among(known.external_id, wanted.external_ids)
    rows.keep_starting(known.external_id, wanted.search)
    rows.keep_within(known.recorded_at, wanted.start_at, wanted.end_at)
    _keep_locations(rows, known.location, wanted)
    return rows


def narrow_adjustments(wanted: AdjustmentFilter) -> Narrowed:
    """Return the list of adjustments, ordered by time."""
    known, rows = adjustments.c, Narrowed(_ADJUSTMENTS, _BY_ADJUSTING)
    rows.keep_equal(known.customer_id, wanted.customer_id)
    rows.keep_among(known.reason, wanted.reasons)
    rows.keep_within(known.created_at, wanted.start_at, wanted.end_at)
    _keep_locations(rows, known.location, wanted)
    rows.keep_sign(known.points, wanted.sign)
    rows.keep_any_equal("actor", (known.actor, known.actor_subject), wanted.actor)
    if wanted.note is not None:
        rows.keep("note", _has_note, note=wanted.note)
    return rows


def _keep_locations(rows: Narrowed, location: ColumnElement[Any], wanted: OfLocations) -> None:
    """Keep rows of some locations.

    Rows of one customer are checked one by one; else the index of each location is used.
    """
    if wanted.customer_id is None:
        rows.keep_each(location, wanted.locations)
    else:
        rows.keep_among(location, wanted.locations)


def _has_note() -> ColumnElement[bool]:
    notes = (adjustments.c.internal_note, adjustments.c.customer_description)
    return or_(*(has_text(note, "note") for note in notes))


def narrow_holds(wanted: HoldFilter) -> Narrowed:
    """Return the list of holds, ordered by their creation."""
    known, rows = holds.c, Narrowed(_HOLDS, _BY_HOLDING)
    rows.keep_equal(known.customer_id, wanted.customer_id)
    rows.keep_among(known.state, wanted.states)
    rows.keep_purchase(known.purchase_kind, known.purchase_external_id, wanted.purchase)
    rows.keep_within(known.created_at, wanted.start_at, wanted.end_at)
    _keep_locations(rows, known.location, wanted)
    rows.keep_equal(known.actor, wanted.actor)
    return rows


def narrow_redemptions(wanted: RedemptionFilter) -> Narrowed:
    """Return the list of redemptions, ordered by time."""
    known, rows = redemptions.c, Narrowed(_REDEMPTIONS, _BY_REDEEMING)
    rows.keep_equal(known.customer_id, wanted.customer_id)
    rows.keep_purchase(known.purchase_kind, known.purchase_external_id, wanted.purchase)
    rows.keep_within(known.redeemed_at, wanted.start_at, wanted.end_at)
    _keep_locations(rows, known.location, wanted)
    rows.keep_equal(known.actor, wanted.actor)
    return rows


def narrow_lots(wanted: LotFilter) -> Narrowed:
    """Return the list of lots, ordered by their opening."""
    known, rows = lots.c, Narrowed(_LOTS, _BY_OPENING)
    rows.keep_equal(known.customer_id, wanted.customer_id)
    rows.keep_among(known.state, wanted.states)
    return rows


async def read_purchase_page(tx: Reads, wanted: PurchaseFilter, window: Window[TimePlace]) -> list[PurchaseRow]:
    """A page of purchases."""
    return [purchase_row(row) for row in await narrow_purchases(wanted).read(tx, window)]


async def read_adjustment_page(tx: Reads, wanted: AdjustmentFilter, window: Window[TimePlace]) -> list[AdjustmentRow]:
    """A page of adjustments."""
    return [AdjustmentRow._make(row) for row in await narrow_adjustments(wanted).read(tx, window)]


async def read_hold_page(tx: Reads, wanted: HoldFilter, window: Window[TimePlace]) -> list[HoldRow]:
    """A page of holds."""
    return [hold_row(row) for row in await narrow_holds(wanted).read(tx, window)]


async def read_redemption_page(tx: Reads, wanted: RedemptionFilter, window: Window[TimePlace]) -> list[RedemptionRow]:
    """A page of redemptions."""
    return [redemption_row(row) for row in await narrow_redemptions(wanted).read(tx, window)]


async def read_lot_page(tx: Reads, wanted: LotFilter, window: Window[TimePlace]) -> list[LotRow]:
    """A page of lots."""
    return [LotRow._make(row) for row in await narrow_lots(wanted).read(tx, window)]
