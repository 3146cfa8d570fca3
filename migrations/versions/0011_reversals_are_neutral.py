"""Accruals keep by how much their points raised the standing. A reversal lowers it by no more.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

from tenancy.policies import APP

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. For accruals from before it was not counted: the column is null, and a reversal lowers by all points."""
    op.add_column("accruals", sa.Column("raised_standing", sa.BigInteger(), nullable=True))
    op.execute(f"GRANT UPDATE (raised_standing) ON accruals TO {APP}")


def downgrade() -> None:
    """Drop the column, and with it the right to write it."""
    op.drop_column("accruals", "raised_standing")
