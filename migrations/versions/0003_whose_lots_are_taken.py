"""Allocations and lots of holds name their customer, so that the proof need not look up the owner of a lot.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

REWRITTEN = ("allocations", "hold_lots", "entries", "holds")
"""Tables to read or fill in. Forced RLS hides the rows from their owner too, so it is off meanwhile."""

BACKFILLS = (
    """
    UPDATE allocations t SET customer_id = e.customer_id, taken_at = e.occurred_at
    FROM entries e WHERE (e.tenant_id, e.id) = (t.tenant_id, t.entry_id)
    """,
    # The release of a hold may pay the debt of an earlier entry. Such points were taken when the hold ended.
    """
    UPDATE allocations t SET taken_at = h.ended_at
    FROM holds h WHERE (h.tenant_id, h.id) = (t.tenant_id, t.settled_by) AND t.settled_by <> t.entry_id
    """,
    """
    UPDATE hold_lots t SET customer_id = h.customer_id
    FROM holds h WHERE (h.tenant_id, h.id) = (t.tenant_id, t.hold_id)
    """,
)


def upgrade() -> None:
    """Apply this revision."""
    for table in REWRITTEN:
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.add_column("allocations", sa.Column("customer_id", sa.Uuid(), nullable=True))
    op.add_column("allocations", sa.Column("taken_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("hold_lots", sa.Column("customer_id", sa.Uuid(), nullable=True))
    for backfill in BACKFILLS:
        op.execute(backfill)
    for table, column in (("allocations", "customer_id"), ("allocations", "taken_at"), ("hold_lots", "customer_id")):
        op.alter_column(table, column, nullable=False)
    for table in REWRITTEN:
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    """Drop the columns. Their values can be computed again from entries and holds."""
    op.drop_column("hold_lots", "customer_id")
    op.drop_column("allocations", "taken_at")
    op.drop_column("allocations", "customer_id")
