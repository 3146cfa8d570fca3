"""Indexes for large tenants: no list, resumed stream or sweep reads or sorts more rows than it takes.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NEW = (
    ("events_customer_idx", "events", ("customer_id", "position"), "position IS NOT NULL"),
    ("opening_balances_customer_idx", "opening_balances", ("customer_id",), None),
    ("customers_newest_idx", "customers", ("id",), "merged_into IS NULL"),
)
CHANGED = (
    # Lists show no merged customers.
    ("customers_name_idx", "customers", ("search_name", "id"), "merged_into IS NULL"),
    ("accounts_available_idx", "accounts", ("available", "customer_id"), "NOT closed"),
    # Points of one period expire at one instant: a batch must not sort all of them by their ids.
    ("lots_expiry_idx", "lots", ("due_at", "id"), "due_at IS NOT NULL"),
    ("lots_notice_idx", "lots", ("notice_at", "id"), "state = 'OPEN' AND notice_at IS NOT NULL"),
    ("holds_active_idx", "holds", ("expires_at", "id"), "state = 'ACTIVE'"),
    ("accruals_due_idx", "accruals", ("matures_at", "id"), "state = 'PENDING'"),
    ("purchases_evaluation_idx", "purchases", ("evaluates_at", "id"), "evaluates_at IS NOT NULL"),
)
"""Indexes from before, which had fewer columns or more rows."""


def upgrade() -> None:
    """Apply this revision."""
    for name, table, _columns, _condition in CHANGED:
        op.drop_index(name, table)
    for index in (*NEW, *CHANGED):
        _create(*index)


def downgrade() -> None:
    """Drop the new indexes. The changed indexes stay: they serve the release before as well."""
    for name, table, *_ in NEW:
        op.drop_index(name, table)


def _create(name: str, table: str, columns: tuple[str, ...], condition: str | None) -> None:
    """Create an index on a tenant's rows, or on those for which a condition holds."""
    where = None if condition is None else sa.text(condition)
    op.create_index(name, table, ["tenant_id", *columns], unique=False, postgresql_where=where)
