"""Servers read which revision the database is at: one that is too old for them is not ready.

Revision ID: 0048
Revises: 0047
"""

from alembic import op

from tenancy.policies import APP

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. The table is alembic's, holds one number, and belongs to no tenant."""
    op.execute(f"GRANT SELECT ON alembic_version TO {APP}")


def downgrade() -> None:
    """Take the right away."""
    op.execute(f"REVOKE SELECT ON alembic_version FROM {APP}")  # noqa: S608 - a constant of ours
