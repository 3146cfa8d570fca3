"""API tokens get allowed networks and secrets that change with an overlap; OAuth clients stand beside them.

Revision ID: 0028
Revises: 0027
"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

TABLE = "api_tokens"
CHANGED_BY_APP = "secret_mark, former_secret_mark, former_ends_at, rotated_with"

MARK_SECRETS = """
    UPDATE api_tokens SET kind = 'TOKEN', secret_mark = left(d.sha256, 16)
    FROM token_directory d WHERE d.tenant_id = api_tokens.tenant_id AND d.token_id = api_tokens.id
"""
MARK_THE_REST = "UPDATE api_tokens SET kind = 'TOKEN', secret_mark = '' WHERE secret_mark IS NULL"
"""A token without a row in the directory cannot be used, so it needs no mark."""


def upgrade() -> None:
    """Apply this revision."""
    op.add_column(TABLE, sa.Column("kind", sa.Text(collation="C"), nullable=True))
    op.add_column(TABLE, sa.Column("networks", sa.dialects.postgresql.JSONB(), nullable=True))
    for name in ("secret_mark", "former_secret_mark", "rotated_with"):
        op.add_column(TABLE, sa.Column(name, sa.Text(collation="C"), nullable=True))
    op.add_column(TABLE, sa.Column("former_ends_at", sa.DateTime(timezone=True), nullable=True))
    for table in (TABLE, "token_directory"):
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.execute(MARK_SECRETS)
    op.execute(MARK_THE_REST)
    for table in (TABLE, "token_directory"):
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    for name in ("kind", "secret_mark"):
        op.alter_column(TABLE, name, nullable=False)
    op.create_check_constraint("kind_check", TABLE, "kind IN ('TOKEN', 'CLIENT')")
    op.execute(f"GRANT UPDATE ({CHANGED_BY_APP}) ON {TABLE} TO treue_app")


def downgrade() -> None:
    """Refuse: a token that is limited to networks would work everywhere."""
    raise NotImplementedError("tokens that are for some networks only would work everywhere")
