"""A list that is narrowed step by step: read a page of it, or count it up to a ceiling."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Select, Table, bindparam, func, literal_column, select

from loyalty.rules.listing import PointsSign
from loyalty.storage.points_paid import PurchaseKey
from loyalty.storage.window import TimePlace, Window, apply_window
from tenancy.database import Transaction
from tenancy.table import INSTANT, tenant_parameter

MAX_TOTAL_COUNT = 10_000
"""Rows that a list counts: of a longer one only this is known."""


class Narrowed:
    """A statement over one table that is narrowed step by step, with its parameters."""

    def __init__(self, table: Table, columns: Sequence[ColumnElement[Any]], at: Column[Any]) -> None:
        self.table = table
        self.at = at
        self.statement: Select[Any] = select(*columns).where(table.c.tenant_id == tenant_parameter())
        self.parameters: dict[str, Any] = {}

    def equal(self, name: str, value: object) -> None:
        """Keep rows with this value."""
        if value is not None:
            self.add(self.table.c[name] == bindparam(f"is_{name}"), **{f"is_{name}": value})

    def among(self, name: str, values: Sequence[Any] | None) -> None:
        """Keep rows with one of these values."""
        if values is not None:
            self.add(self.table.c[name].in_(bindparam(f"in_{name}", expanding=True)), **{f"in_{name}": list(values)})

    def starting(self, name: str, prefix: str | None) -> None:
        """Keep rows whose text begins with a prefix; an index serves this operator behind row-level security."""
        if prefix is not None:
            self.add(self.table.c[name].op("^@", is_comparison=True)(bindparam("prefix")), prefix=prefix)

    def within(self, start_at: datetime | None, end_at: datetime | None) -> None:
        """Keep rows of a span of time, its end left out."""
        if start_at is not None:
            self.add(self.at >= bindparam("start_at", type_=INSTANT), start_at=start_at)
        if end_at is not None:
            self.add(self.at < bindparam("end_at", type_=INSTANT), end_at=end_at)

    def signed(self, sign: PointsSign | None) -> None:
        """Keep rows that add points, or that take some."""
        if sign is not None:
            points = self.table.c.points
            self.add(points > 0 if sign is PointsSign.POSITIVE else points < 0)

    def of_purchase(self, purchase: PurchaseKey | None) -> None:
        """Keep rows that name a purchase."""
        if purchase is not None:
            self.equal("purchase_kind", purchase.kind)
            self.equal("purchase_external_id", purchase.external_id)

    def add(self, condition: ColumnElement[bool], **parameters: object) -> None:
        """Keep rows for which a condition holds."""
        self.statement = self.statement.where(condition)
        self.parameters |= parameters

    async def read(self, tx: Transaction, window: Window[TimePlace]) -> Sequence[Any]:
        """Read a window of what is left."""
        statement, place = apply_window(self.statement, self.at, self.table.c.id, window)
        return await tx.rows(statement, **self.parameters, **place)

    async def count(self, tx: Transaction) -> int:
        """Count what is left, as `count_rows` does."""
        return await count_rows(tx, self.statement, self.parameters)


def has_text(column: ColumnElement[Any], parameter: str) -> ColumnElement[bool]:
    """Texts that hold another one, whatever the case; no index serves it, so it is asked row by row."""
    return func.strpos(func.lower(column), func.lower(bindparam(parameter))) > 0


async def count_rows(tx: Transaction, statement: Select[Any], parameters: dict[str, Any]) -> int:
    """How many rows a list has: at most one more than ``MAX_TOTAL_COUNT``, where the counting ends."""
    some = statement.with_only_columns(literal_column("1")).order_by(None).limit(MAX_TOTAL_COUNT + 1).subquery("some")
    row = await tx.row(select(func.count()).select_from(some), **parameters)
    return int(row[0]) if row else 0
