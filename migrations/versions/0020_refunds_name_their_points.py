"""A refund keeps the points that had paid its part, and how many went back. A return keeps its part for refunds.

Revision ID: 0020
Revises: 0019
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

COUNTED = (
    ("purchase_refunds", "returned_points"),
    ("purchase_refunds", "returned_minor"),
    ("redemption_returns", "refunded_points"),
    ("redemption_returns", "refunded_minor"),
)


def upgrade() -> None:
    """Apply. For refunds from before nothing is counted: the points that had paid their part are not known."""
    for name in ("point_share", "point_share_minor"):
        op.add_column("purchase_refunds", sa.Column(name, sa.BigInteger(), nullable=True))
    for table, name in COUNTED:
        op.add_column(table, sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
        op.alter_column(table, name, server_default=None)
    op.create_check_constraint(
        op.f("purchase_refunds_point_share_check"),
        "purchase_refunds",
        "point_share >= 0 AND point_share_minor BETWEEN 0 AND amount_minor",
    )
    op.create_check_constraint(
        op.f("purchase_refunds_returned_points_check"),
        "purchase_refunds",
        "returned_points >= 0 AND returned_minor >= 0",
    )
    op.create_check_constraint(
        op.f("redemption_returns_refunded_check"),
        "redemption_returns",
        "refunded_points BETWEEN 0 AND points AND refunded_minor BETWEEN 0 AND discount_minor",
    )


def downgrade() -> None:
    """Drop the columns. Points that went back stay returned; which refund they belonged to is lost."""
    for table, name in COUNTED:
        op.drop_column(table, name)
    for name in ("point_share", "point_share_minor"):
        op.drop_column("purchase_refunds", name)
