"""A process asks in one statement how far the logs reach that its subscriptions follow.

Revision ID: 0036
Revises: 0035
"""

from alembic import op

from tenancy.policies import visible_to_followers

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

TABLE = "event_positions"


def upgrade() -> None:
    """Apply this revision."""
    for statement in visible_to_followers(TABLE):
        op.execute(statement)


def downgrade() -> None:
    """Undo this revision."""
    op.execute(f"DROP POLICY followed_logs ON {TABLE}")
