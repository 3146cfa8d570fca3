"""Indexes for lists by time: purchases, adjustments, holds and redemptions, of the tenant and of one customer.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

LISTS = (
    ("purchases", "recorded", "recorded_at"),
    ("adjustments", "created", "created_at"),
    ("holds", "created", "created_at"),
    ("redemptions", "redeemed", "redeemed_at"),
)
"""Each list with the name of its index and the time it is ordered by."""

ONCE_BY_ID = ("purchases", "holds", "redemptions")
"""Tables whose index by customer was ordered by id until now."""


def upgrade() -> None:
    """Apply this revision."""
    for table in ONCE_BY_ID:
        op.drop_index(f"{table}_customer_idx", table)
    for table, name, at in LISTS:
        op.create_index(f"{table}_customer_idx", table, ["tenant_id", "customer_id", at, "id"])
        op.create_index(f"{table}_{name}_idx", table, ["tenant_id", at, "id"])


def downgrade() -> None:
    """Drop the indexes, and create those by customer and id again."""
    for table, name, _ in LISTS:
        op.drop_index(f"{table}_{name}_idx", table)
        op.drop_index(f"{table}_customer_idx", table)
    for table in ONCE_BY_ID:
        op.create_index(f"{table}_customer_idx", table, ["tenant_id", "customer_id", "id"])
