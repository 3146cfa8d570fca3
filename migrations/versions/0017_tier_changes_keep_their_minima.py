"""A tier change keeps the minima of its tiers: a later edit of a tier does not turn a past upgrade upside down.

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
    """Apply. What the minima were at past changes is not known: they stay empty and are not compared."""
    for column in COLUMNS:
        op.add_column("tier_changes", sa.Column(column, sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Forget the minima."""
    for column in COLUMNS:
        op.drop_column("tier_changes", column)
