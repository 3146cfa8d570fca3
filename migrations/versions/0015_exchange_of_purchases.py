"""A purchase in another currency keeps how its total was told: currency, rate, amount.

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this revision."""
    op.add_column("purchases", sa.Column("exchange", JSONB(), nullable=True))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("purchases", "exchange")
