"""The platform has credentials of its own, a log of what it does, and its own ids of tenants.

Revision ID: 0045
Revises: 0044
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from tenancy.policies import RELAY

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. The application gets no right on these tables."""
    op.create_table(
        "platform_tokens",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(collation="C"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("platform_tokens_pkey")),
        sa.UniqueConstraint("sha256", name=op.f("platform_tokens_sha256_key")),
    )
    op.create_table(
        "platform_actions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject_name", sa.Text(), nullable=False),
        sa.Column("changes", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_subject", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("platform_actions_pkey")),
    )
    op.create_index(
        "platform_actions_tenant_idx",
        "platform_actions",
        ["tenant_id", "id"],
        postgresql_where=sa.text("tenant_id IS NOT NULL"),
    )
    op.create_table(
        "platform_tenants",
        sa.Column("external_id", sa.Text(collation="C"), nullable=False),
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("external_id", name=op.f("platform_tenants_pkey")),
        sa.UniqueConstraint("tenant_id", name=op.f("platform_tenants_tenant_id_key")),
    )
    op.execute(f"GRANT SELECT, INSERT, UPDATE (revoked_at, last_used_at) ON platform_tokens TO {RELAY}")
    op.execute(f"GRANT SELECT, INSERT ON platform_actions, platform_tenants TO {RELAY}")
    # The tenant's audit log holds what the platform changed at the tenant. The relay's role adds it, but never reads.
    op.execute(f"GRANT INSERT ON audit_entries TO {RELAY}")


def downgrade() -> None:
    """Undo this revision."""
    op.execute(f"REVOKE INSERT ON audit_entries FROM {RELAY}")
    for table in ("platform_tenants", "platform_actions", "platform_tokens"):
        op.drop_table(table)
