"""Opening balances may be below zero (debt), and may tell the day on which their points were earned.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

CONSTRAINT = "opening_balances_numbers_check"


def upgrade() -> None:
    """Apply this revision."""
    op.add_column("opening_balances", sa.Column("earned_on", sa.Date(), nullable=True))
    op.drop_constraint(CONSTRAINT, "opening_balances")
    op.create_check_constraint(op.f(CONSTRAINT), "opening_balances", "lifetime_earned >= 0 AND qualifying >= 0")


def downgrade() -> None:
    """Drop the column. The older check does not come back, because opening balances with debt stay."""
    op.drop_column("opening_balances", "earned_on")
