"""The table of budgets: when the bucket of a tenant, or of one of its clients, will be full again."""

from sqlalchemy import Column, Integer

import loyalty.storage.tables  # noqa: F401 - declares the tables that this stands beside
from tenancy.table import check, index, instant, key_text, tenant_table

budgets = tenant_table(
    "budgets",
    # Whose it is: a client, or the whole tenant.
    key_text("scope"),
    # From then on the bucket is full, and the row says nothing any more.
    instant("full_at"),
    # At how many points a second it fills; with another rate the instant would mean other points.
    Column("per_second", Integer, nullable=False),
    check("per_second", "per_second >= 1"),
    index("budgets_full_idx", "full_at"),
    key=("scope",),
    of_tenants=True,
)
