"""Entries, tier changes, facts and versions of rules keep the name of who made them; holds keep who ended them.

Revision ID: 0026
Revises: 0025
"""

import sqlalchemy as sa
from alembic import op

from tenancy.policies import APP

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

NEW_COLUMNS = {
    "entries": ("actor_name", "reason"),
    "tier_changes": ("actor_kind", "actor_name"),
    "purchase_facts": ("actor_kind", "actor_name"),
    "earning_rule_versions": ("actor_kind", "actor_name"),
    "holds": ("ended_actor_kind", "ended_actor"),
}


def upgrade() -> None:
    """Apply. Rows from before have no name."""
    for table, columns in NEW_COLUMNS.items():
        for column in columns:
            op.add_column(table, sa.Column(column, sa.Text(), nullable=True))
    op.execute(f"GRANT UPDATE (ended_actor_kind, ended_actor) ON holds TO {APP}")


def downgrade() -> None:
    """Undo this revision."""
    for table, columns in NEW_COLUMNS.items():
        for column in columns:
            op.drop_column(table, column)
