"""Tenants set the identity providers of their staff.

Revision ID: 0033
Revises: 0032
"""

import sqlalchemy as sa
from alembic import op

from tenancy.policies import wall

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

TABLE = "oidc_issuers"
CHANGED = "role_claim, roles, version, changed_at, changed_by, made_with, removed_at"


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        TABLE,
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("issuer", sa.Text(collation="C"), nullable=False),
        sa.Column("audience", sa.Text(collation="C"), nullable=False),
        sa.Column("role_claim", sa.Text(), nullable=False),
        sa.Column("roles", sa.dialects.postgresql.JSONB(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("made_with", sa.Text(collation="C"), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name=op.f("oidc_issuers_tenants_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("oidc_issuers_pkey")),
        sa.UniqueConstraint("tenant_id", "issuer", "audience", name=op.f("oidc_issuers_tenant_id_issuer_audience_key")),
    )
    for statement in wall(TABLE, app=f"SELECT, INSERT, UPDATE ({CHANGED})"):
        op.execute(statement)


def downgrade() -> None:
    """Undo this revision."""
    op.drop_table(TABLE)
