"""How far each reader of a log is, and what the readers of the product keep."""

from sqlalchemy import BigInteger, Column, Date, Integer

from tenancy.table import check, due_index, instant, key_text, points, tenant_table, text_column

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

daily_figures = tenant_table(
    "daily_figures",
    # A local day of the tenant.
    Column("day", Date, nullable=False),
    # A kind of event.
    key_text("kind"),
    Column("events", BigInteger, nullable=False),
    points("points"),
    key=("day", "kind"),
    of_tenants=True,
)
