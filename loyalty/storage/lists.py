"""Pages of what happened: purchases, adjustments, holds and redemptions, each by its time, the newest first.

A list narrowed to a customer, or to nothing, reads its page from an index. Other filters are checked row by row on the
way, so a page of something rare in a long list reads more than it answers.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Select, Table, bindparam, select

from loyalty.rules.adjustment import AdjustmentReason
from loyalty.rules.ids import CustomerId
from loyalty.rules.purchase import PurchaseKind, PurchaseStatus
from loyalty.rules.redemption import HoldState
from loyalty.storage.adjustments import AdjustmentRow
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.purchases import PurchaseRow, purchase_columns, purchase_row
from loyalty.storage.redemptions import HoldRow, RedemptionRow, hold_row, redemption_row
from loyalty.storage.tables import adjustments, holds, purchases, redemptions
from loyalty.storage.window import TimePlace, Window, apply_window
from tenancy.database import Transaction
from tenancy.table import INSTANT, tenant_parameter


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
    """What a list of adjustments is narrowed to; None is no limit."""

    customer_id: CustomerId | None = None
    reasons: Sequence[AdjustmentReason] | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None


class HoldFilter(NamedTuple):
    """What a list of holds is narrowed to; None is no limit."""

    customer_id: CustomerId | None = None
    states: Sequence[HoldState] | None = None
    purchase: PurchaseKey | None = None


class RedemptionFilter(NamedTuple):
    """What a list of redemptions is narrowed to; None is no limit."""

    customer_id: CustomerId | None = None
    purchase: PurchaseKey | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None


class _Narrowed:
    """A statement that is narrowed step by step, with its parameters."""

    def __init__(self, table: Table, columns: Sequence[ColumnElement[Any]]) -> None:
        self.table = table
        self.statement: Select[Any] = select(*columns).where(table.c.tenant_id == tenant_parameter())
        self.parameters: dict[str, Any] = {}

    def equal(self, name: str, value: object) -> None:
        """Keep rows with this value."""
        if value is not None:
            self._add(self.table.c[name] == bindparam(f"is_{name}"), f"is_{name}", value)

    def among(self, name: str, values: Sequence[Any] | None) -> None:
        """Keep rows with one of these values."""
        if values is not None:
            self._add(self.table.c[name].in_(bindparam(f"in_{name}", expanding=True)), f"in_{name}", list(values))

    def starting(self, name: str, prefix: str | None) -> None:
        """Keep rows whose text begins with a prefix; an index serves this operator behind row-level security."""
        if prefix is not None:
            self._add(self.table.c[name].op("^@", is_comparison=True)(bindparam("prefix")), "prefix", prefix)

    def within(self, at: Column[Any], start_at: datetime | None, end_at: datetime | None) -> None:
        """Keep rows of a span of time, its end left out."""
        if start_at is not None:
            self._add(at >= bindparam("start_at", type_=INSTANT), "start_at", start_at)
        if end_at is not None:
            self._add(at < bindparam("end_at", type_=INSTANT), "end_at", end_at)

    def of_purchase(self, purchase: PurchaseKey | None) -> None:
        """Keep rows that name a purchase."""
        if purchase is not None:
            self.equal("purchase_kind", purchase.kind)
            self.equal("purchase_external_id", purchase.external_id)

    async def read(self, tx: Transaction, at: Column[Any], window: Window[TimePlace]) -> Sequence[Any]:
        """Read a window of what is left."""
        statement, place = apply_window(self.statement, at, self.table.c.id, window)
        return await tx.rows(statement, **self.parameters, **place)

    def _add(self, condition: ColumnElement[bool], name: str, value: object) -> None:
        self.statement = self.statement.where(condition)
        self.parameters[name] = value


async def read_purchase_page(tx: Transaction, wanted: PurchaseFilter, window: Window[TimePlace]) -> list[PurchaseRow]:
    """A page of purchases by when they were first recorded."""
    rows = _Narrowed(purchases, purchase_columns)
    rows.equal("customer_id", wanted.customer_id)
    rows.equal("kind", wanted.kind)
    rows.among("status", wanted.statuses)
    rows.among("external_id", wanted.external_ids)
    rows.starting("external_id", wanted.search)
    rows.within(purchases.c.recorded_at, wanted.start_at, wanted.end_at)
    return [purchase_row(row) for row in await rows.read(tx, purchases.c.recorded_at, window)]


async def read_adjustment_page(
    tx: Transaction, wanted: AdjustmentFilter, window: Window[TimePlace]
) -> list[AdjustmentRow]:
    """A page of adjustments."""
    rows = _Narrowed(adjustments, [adjustments.c[name] for name in AdjustmentRow._fields])
    rows.equal("customer_id", wanted.customer_id)
    rows.among("reason", wanted.reasons)
    rows.within(adjustments.c.created_at, wanted.start_at, wanted.end_at)
    return [AdjustmentRow._make(row) for row in await rows.read(tx, adjustments.c.created_at, window)]


async def read_hold_page(tx: Transaction, wanted: HoldFilter, window: Window[TimePlace]) -> list[HoldRow]:
    """A page of holds by when the points were set aside."""
    rows = _Narrowed(holds, [holds.c[name] for name in HoldRow._fields])
    rows.equal("customer_id", wanted.customer_id)
    rows.among("state", wanted.states)
    rows.of_purchase(wanted.purchase)
    return [hold_row(row) for row in await rows.read(tx, holds.c.created_at, window)]


async def read_redemption_page(
    tx: Transaction, wanted: RedemptionFilter, window: Window[TimePlace]
) -> list[RedemptionRow]:
    """A page of redemptions by when the points were spent."""
    rows = _Narrowed(redemptions, [redemptions.c[name] for name in RedemptionRow._fields])
    rows.equal("customer_id", wanted.customer_id)
    rows.of_purchase(wanted.purchase)
    rows.within(redemptions.c.redeemed_at, wanted.start_at, wanted.end_at)
    return [redemption_row(row) for row in await rows.read(tx, redemptions.c.redeemed_at, window)]
