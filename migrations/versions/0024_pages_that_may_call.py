"""A tenant allows the origins of browser pages that may call. Until then none may.

Revision ID: 0024
Revises: 0023
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from tenancy.policies import APP

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this revision."""
    documents = postgresql.JSONB(none_as_null=True, astext_type=sa.Text())
    op.add_column("tenants", sa.Column("allowed_origins", documents, nullable=False, server_default=sa.text("'[]'")))
    op.alter_column("tenants", "allowed_origins", server_default=None)
    op.create_check_constraint(
        op.f("tenants_allowed_origins_check"), "tenants", "jsonb_typeof(allowed_origins) = 'array'"
    )
    op.execute(f"GRANT UPDATE (allowed_origins) ON tenants TO {APP}")


def downgrade() -> None:
    """Undo this revision."""
    op.drop_column("tenants", "allowed_origins")
