"""Events have a subject of some kind, and need no customer.

Revision ID: 0055
Revises: 0054
"""

import sqlalchemy as sa
from alembic import op

revision = "0055"
down_revision = "0054"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. Events of gift cards get their card as the subject; those of customers stay as they are stored."""
    op.add_column(
        "events", sa.Column("subject_kind", sa.Text(collation="C"), nullable=False, server_default="CUSTOMER")
    )
    op.alter_column("events", "subject_kind", server_default=None)
    op.add_column("events", sa.Column("subject_id", sa.Uuid(), nullable=True))
    op.alter_column("events", "customer_id", nullable=True)
    op.execute("ALTER TABLE events NO FORCE ROW LEVEL SECURITY")
    op.execute(
        "UPDATE events SET subject_kind = 'GIFT_CARD', subject_id = (payload->>'gift_card_id')::uuid"
        " WHERE kind LIKE 'gift\\_card.%'"
    )
    op.execute("ALTER TABLE events FORCE ROW LEVEL SECURITY")
    op.create_check_constraint(
        op.f("events_subject_check"),
        "events",
        "CASE subject_kind WHEN 'CUSTOMER' THEN customer_id IS NOT NULL AND subject_id IS NULL ELSE true END",
    )
    op.create_index(
        "events_subject_idx",
        "events",
        ["tenant_id", "subject_kind", "subject_id", "position"],
        postgresql_where=sa.text("position IS NOT NULL AND subject_id IS NOT NULL"),
    )


def downgrade() -> None:
    """Refuse: the older table has no place for an event without a customer."""
    raise NotImplementedError("an event without a customer has no place in the table of before")
