"""Holds say why they were released, and those of gift cards who ended them.

Revision ID: 0037
Revises: 0036
"""

import sqlalchemy as sa
from alembic import op

from tenancy.policies import APP

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None

NEW_COLUMNS = {
    "holds": ("ended_reason",),
    "gift_card_holds": ("ended_actor_kind", "ended_actor", "ended_reason"),
}


def upgrade() -> None:
    """Apply. Rows from before have neither."""
    for table, columns in NEW_COLUMNS.items():
        for column in columns:
            op.add_column(table, sa.Column(column, sa.Text(), nullable=True))
        op.execute(f"GRANT UPDATE ({', '.join(columns)}) ON {table} TO {APP}")


def downgrade() -> None:
    """Undo this revision."""
    for table, columns in NEW_COLUMNS.items():
        for column in columns:
            op.drop_column(table, column)
