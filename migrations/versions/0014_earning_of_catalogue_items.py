"""Items and categories of the catalogue say whether and how they earn.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

COLUMNS = ("earning", "rate_points", "rate_per_minor")


def upgrade() -> None:
    """Apply this revision."""
    op.add_column("catalog_items", sa.Column("earning", sa.Text(), nullable=True))
    op.add_column("catalog_items", sa.Column("rate_points", sa.BigInteger(), nullable=True))
    op.add_column("catalog_items", sa.Column("rate_per_minor", sa.BigInteger(), nullable=True))
    op.create_check_constraint(
        op.f("catalog_items_earning_check"), "catalog_items", "earning IN ('PROGRAM', 'NOTHING')"
    )
    op.create_check_constraint(
        op.f("catalog_items_rate_check"),
        "catalog_items",
        "(rate_points IS NULL) = (rate_per_minor IS NULL) AND rate_points > 0 AND rate_per_minor > 0",
    )


def downgrade() -> None:
    """Drop the columns."""
    for column in COLUMNS:
        op.drop_column("catalog_items", column)
