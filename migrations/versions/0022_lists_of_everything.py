"""Lists of what is about one thing, and of the lots of a customer, read an index.

Revision ID: 0022
Revises: 0021
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index(
        "entries_reference_idx", "entries", ["tenant_id", "reference_id", "occurred_at", "id"], unique=False
    )
    op.create_index("lots_customer_idx", "lots", ["tenant_id", "customer_id", "opened_at", "id"], unique=False)


def downgrade() -> None:
    """Take it away."""
    op.drop_index("lots_customer_idx", "lots")
    op.drop_index("entries_reference_idx", "entries")
