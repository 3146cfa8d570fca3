"""How far the points of an accrual raised the standing: a reversal lowers it by no more.

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
    """Apply. Nobody counted for accruals of releases before: their reversals take all of their points, as before."""
    op.add_column("accruals", sa.Column("raised_standing", sa.BigInteger(), nullable=True))
    op.execute(f"GRANT UPDATE (raised_standing) ON accruals TO {APP}")


def downgrade() -> None:
    """The right goes with its column."""
    op.drop_column("accruals", "raised_standing")
