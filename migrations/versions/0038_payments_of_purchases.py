"""Purchases keep the payments that reports told, and accruals what gift cards paid when they were valued.

Revision ID: 0038
Revises: 0037
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from tenancy.policies import APP

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

VALUED = ("accruals", "former_valuations")


def upgrade() -> None:
    """Apply this revision."""
    document = postgresql.JSONB(none_as_null=True, astext_type=sa.Text())
    op.add_column("purchases", sa.Column("payments", document, nullable=True))
    for table in VALUED:
        op.add_column(table, sa.Column("cards_paid_minor", sa.BigInteger(), nullable=True))
    op.execute(f"GRANT UPDATE (cards_paid_minor) ON accruals TO {APP}")


def downgrade() -> None:
    """Drop the columns. Points stay as the newest valuation gave them; the told payments are lost."""
    for table in VALUED:
        op.drop_column(table, "cards_paid_minor")
    op.drop_column("purchases", "payments")
