"""How far each reader of a log is, and what the readers of the product keep."""

from sqlalchemy import BigInteger, Column, Date, Integer

from loyalty.rules.figures import FigurePeriod
from tenancy.table import (
    check,
    due_index,
    identifier,
    instant,
    key_text,
    one_of,
    points,
    references,
    tenant_table,
    text_column,
    unique,
)

log_readers = tenant_table(
    "log_readers",
    key_text("reader"),
    # The last event that the reader has worked on.
    Column("position", BigInteger, nullable=False),
    # The last event that the relay has told the reader of.
    Column("reaches", BigInteger, nullable=False),
    # When a worker may take the next turn; empty while there is nothing to read.
    instant("due_at", nullable=True),
    # Turns that were begun since the last one that ended well, and why the last one failed.
    Column("attempts", Integer, nullable=False),
    text_column("problem", nullable=True),
    check("position", "position >= 0"),
    due_index("log_readers_due_at_idx", "due_at", key="reader"),
    key=("reader",),
    of_tenants=True,
)

figures = tenant_table(
    "figures",
    # A day, a month or a year.
    key_text("period"),
    # The first local day of the period.
    Column("starts_on", Date, nullable=False),
    # A kind of entry.
    key_text("kind"),
    points("points"),
    one_of("period", tuple(FigurePeriod)),
    key=("period", "starts_on", "kind"),
    of_tenants=True,
)

active_days = tenant_table(
    "active_days",
    # A local day on which the customer earned or redeemed.
    Column("day", Date, nullable=False),
    identifier("customer_id"),
    references("customer_id", "customers"),
    unique("customer_id", "day"),
    key=("day", "customer_id"),
)

active_spans = tenant_table(
    "active_spans",
    identifier("customer_id"),
    # The first and the last day among the customer's active days.
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    references("customer_id", "customers"),
    check("last_day", "last_day >= first_day"),
    key=("customer_id",),
)
