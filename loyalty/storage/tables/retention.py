"""The table of retention: how long a tenant keeps personal data, and how far the sweep is."""

from sqlalchemy import Column, Integer

from tenancy.table import check, due_index, identifier, instant, tenant_table

retention = tenant_table(
    "retention",
    # Null: without end.
    Column("inactive_months", Integer, nullable=True),
    Column("profile_history_months", Integer, nullable=True),
    # Nothing is removed before; null while nothing is removed at all.
    instant("begins_at", nullable=True),
    # When the sweep looks next; null while nothing is removed at all.
    instant("looks_at", nullable=True),
    # The last customer of the batch before, in the order of the sweep; null when it begins with the first one.
    instant("after_at", nullable=True),
    identifier("after_id", nullable=True),
    check("looks_at", "looks_at IS NULL OR looks_at >= begins_at"),
    check("after", "(after_at IS NULL) = (after_id IS NULL)"),
    due_index("retention_looks_at_idx", "looks_at", key=None),
    key=(),
    of_tenants=True,
)
