"""The platform's API reads which revision the database is at: where that is too old, it is not ready.

Revision ID: 0050
Revises: 0049
"""

from alembic import op

from tenancy.policies import RELAY

revision = "0050"
down_revision = "0049"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. The table is alembic's, holds one number, and belongs to no tenant."""
    op.execute(f"GRANT SELECT ON alembic_version TO {RELAY}")


def downgrade() -> None:
    """Take the right away."""
    op.execute(f"REVOKE SELECT ON alembic_version FROM {RELAY}")  # noqa: S608 - a constant of ours
