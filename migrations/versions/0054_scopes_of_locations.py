"""Members and API tokens may be limited to locations; what happens at a checkout or by hand names its location.

Revision ID: 0054
Revises: 0053
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from tenancy.policies import APP

revision = "0054"
down_revision = "0053"
branch_labels = None
depends_on = None

SCOPED = ("members", "api_tokens")
LOCATED = ("adjustments", "holds", "redemptions", "gift_card_holds")


def upgrade() -> None:
    """Apply. Rows from before name no location, and have no scope of locations."""
    for table in SCOPED:
        op.add_column(table, sa.Column("locations", postgresql.JSONB(), nullable=True))
    op.execute(f"GRANT UPDATE (locations) ON members TO {APP}")
    for table in LOCATED:
        op.add_column(table, sa.Column("location", sa.Text(), nullable=True))


def downgrade() -> None:
    """Undo this revision."""
    for table in LOCATED:
        op.drop_column(table, "location")
    for table in SCOPED:
        op.drop_column(table, "locations")
