"""Signed tokens can be revoked, API tokens know what made them, and customer tokens take a permission of their own.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

from tenancy.policies import wall

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLE = "credential_revocations"

REMEMBER_MAKERS = "UPDATE api_tokens SET made_with = created_by WHERE created_by LIKE 'token:%'"
"""Tokens that an API token made name it in `created_by`. For tokens that people made, the sign-in is unknown."""

KEEP_MAKING_CUSTOMER_TOKENS = """
    UPDATE api_tokens SET permissions = permissions || '["customers:sign_in"]'
    WHERE permissions ? 'tokens:manage' AND permissions ?| array['loyalty:read', 'loyalty:*']
"""
"""API tokens that could make customer tokens until now get the new permission for it."""


def upgrade() -> None:
    """Apply this revision."""
    op.add_column("api_tokens", sa.Column("made_with", sa.Text(collation="C"), nullable=True))
    op.add_column("api_tokens", sa.Column("client_id", sa.Uuid(), nullable=True))
    op.execute("ALTER TABLE api_tokens NO FORCE ROW LEVEL SECURITY")
    op.execute(REMEMBER_MAKERS)
    op.execute(KEEP_MAKING_CUSTOMER_TOKENS)
    op.execute("ALTER TABLE api_tokens FORCE ROW LEVEL SECURITY")
    op.create_table(
        TABLE,
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("scope", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(collation="C"), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_by", sa.Text(), nullable=False),
        sa.CheckConstraint("scope IN ('TOKEN', 'SUBJECT')", name=op.f("credential_revocations_scope_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("credential_revocations_tenants_tenant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "scope", "name", name=op.f("credential_revocations_pkey")),
    )
    for statement in wall(TABLE, app="SELECT, INSERT, UPDATE (revoked_at, revoked_by)"):
        op.execute(statement)


def downgrade() -> None:
    """Refuse: revoked credentials would be let in again."""
    raise NotImplementedError("what was revoked would be let in again")
