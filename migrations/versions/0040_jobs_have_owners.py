"""Jobs keep their owner, their arguments and their result.

Revision ID: 0040
Revises: 0039
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None

DOCUMENT = postgresql.JSONB(none_as_null=True)


def upgrade() -> None:
    """Apply. All columns may be null: servers of the release before add jobs without them."""
    for name in ("arguments", "result"):
        op.add_column("jobs", sa.Column(name, DOCUMENT, nullable=True))
    for name in ("actor_kind", "actor_subject", "actor"):
        op.add_column("jobs", sa.Column(name, sa.Text(), nullable=True))


def downgrade() -> None:
    """Undo this revision."""
    for name in ("arguments", "result", "actor_kind", "actor_subject", "actor"):
        op.drop_column("jobs", name)
