"""Indexes for two lists: the entries about one object, and the lots of a customer.

Revision ID: 0022
Revises: 0021
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this revision."""
    op.create_index(
        "entries_reference_idx", "entries", ["tenant_id", "reference_id", "occurred_at", "id"], unique=False
    )
    op.create_index("lots_customer_idx", "lots", ["tenant_id", "customer_id", "opened_at", "id"], unique=False)


def downgrade() -> None:
    """Undo this revision."""
    op.drop_index("lots_customer_idx", "lots")
    op.drop_index("entries_reference_idx", "entries")
