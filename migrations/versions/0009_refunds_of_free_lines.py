"""A refund may pay back no money: lines that cost nothing may have earned points.

Revision ID: 0009
Revises: 0008
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

CHECK = op.f("purchase_refunds_amount_minor_check")


def upgrade() -> None:
    """Apply this revision."""
    op.drop_constraint(CHECK, "purchase_refunds")
    op.create_check_constraint(CHECK, "purchase_refunds", "amount_minor >= 0")


def downgrade() -> None:
    """Create the older check again. That fails if a refund paid back nothing, because no refund is deleted."""
    op.drop_constraint(CHECK, "purchase_refunds")
    op.create_check_constraint(CHECK, "purchase_refunds", "amount_minor > 0")
