"""A tier change keeps the minima of its tiers. So a past upgrade stays one when a tier is edited later.

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

COLUMNS = ("from_min_points", "to_min_points")


def upgrade() -> None:
    """Apply. The minima at past changes are not known: they stay null, and the proof does not compare them."""
    for column in COLUMNS:
        op.add_column("tier_changes", sa.Column(column, sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Drop the columns."""
    for column in COLUMNS:
        op.drop_column("tier_changes", column)
