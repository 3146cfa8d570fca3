"""The table of budgets: when the bucket of a tenant, or of one of its clients, will be full again."""

from sqlalchemy import Column, Integer

import loyalty.storage.tables  # noqa: F401 - declares the tables that this stands beside
from tenancy.table import check, index, instant, key_text, tenant_table

budgets = tenant_table(
    "budgets",
    # The owner of the bucket: a client, or the whole tenant.
    key_text("scope"),
    # At this time the bucket is full, and the row may be deleted.
    instant("full_at"),
    # The points a second with which it fills: they turn the time above into missing points.
    Column("per_second", Integer, nullable=False),
    check("per_second", "per_second >= 1"),
    index("budgets_full_idx", "full_at"),
    key=("scope",),
    of_tenants=True,
)
