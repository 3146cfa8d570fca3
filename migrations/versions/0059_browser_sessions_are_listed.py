"""Browser sessions are listed: what the browser said of itself, and when the session was last used.

Revision ID: 0059
Revises: 0058
"""

import sqlalchemy as sa
from alembic import op

from tenancy.policies import APP

revision = "0059"
down_revision = "0058"
branch_labels = None
depends_on = None

TABLE = "staff_sessions"


def upgrade() -> None:
    """Apply."""
    op.add_column(TABLE, sa.Column("user_agent", sa.Text(), nullable=True))
    op.add_column(TABLE, sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("staff_sessions_time_idx", TABLE, ["tenant_id", "started_at", "id"])
    op.execute(f"GRANT UPDATE (last_used_at) ON {TABLE} TO {APP}")


def downgrade() -> None:
    """Take it away."""
    op.execute(f"REVOKE UPDATE (last_used_at) ON {TABLE} FROM {APP}")
    op.drop_index("staff_sessions_time_idx", TABLE)
    op.drop_column(TABLE, "last_used_at")
    op.drop_column(TABLE, "user_agent")
