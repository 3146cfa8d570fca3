"""Indexes for lists that are narrowed to locations. Rows without a location are not in them.

Revision ID: 0057
Revises: 0056
"""

import sqlalchemy as sa
from alembic import op

revision = "0057"
down_revision = "0056"
branch_labels = None
depends_on = None

LISTS = {
    "purchases": "recorded_at",
    "adjustments": "created_at",
    "holds": "created_at",
    "redemptions": "redeemed_at",
}
"""The tables, each with the column of the time by which its list is ordered."""


def upgrade() -> None:
    """Apply this revision."""
    for table, time in LISTS.items():
        op.create_index(
            f"{table}_location_idx",
            table,
            ["tenant_id", "location", time, "id"],
            postgresql_where=sa.text("location IS NOT NULL"),
        )


def downgrade() -> None:
    """Undo this revision."""
    for table in LISTS:
        op.drop_index(f"{table}_location_idx", table)
