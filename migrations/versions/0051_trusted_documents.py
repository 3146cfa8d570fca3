"""Tenants register documents that their clients run by a hash, and say who may run no others.

Revision ID: 0051
Revises: 0050
"""

import sqlalchemy as sa
from alembic import op

from tenancy.policies import APP, wall

revision = "0051"
down_revision = "0050"
branch_labels = None
depends_on = None

RULES = "ANY CUSTOMERS EVERYBODY"


def upgrade() -> None:
    """Apply. At tenants from before everybody may run every document."""
    op.create_table(
        "trusted_documents",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("sha256", sa.Text(collation="C"), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name=op.f("trusted_documents_sha256_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("trusted_documents_tenants_tenant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("trusted_documents_pkey")),
        sa.UniqueConstraint("tenant_id", "sha256", name=op.f("trusted_documents_sha256_key")),
    )
    op.create_index("trusted_documents_time_idx", "trusted_documents", ["tenant_id", "created_at", "id"])
    for statement in wall("trusted_documents", app="SELECT, INSERT, DELETE"):
        op.execute(statement)
    op.add_column("tenants", sa.Column("document_rule", sa.Text(), nullable=False, server_default="ANY"))
    op.add_column("tenants", sa.Column("documents_version", sa.BigInteger(), nullable=False, server_default="0"))
    for column in ("document_rule", "documents_version"):
        op.alter_column("tenants", column, server_default=None)
    listed = ", ".join(f"'{rule}'" for rule in RULES.split())
    op.create_check_constraint(op.f("tenants_document_rule_check"), "tenants", f"document_rule IN ({listed})")
    op.execute(f"GRANT UPDATE (document_rule, documents_version) ON tenants TO {APP}")


def downgrade() -> None:
    """Undo this revision."""
    op.execute(f"REVOKE UPDATE (document_rule, documents_version) ON tenants FROM {APP}")
    op.drop_column("tenants", "documents_version")
    op.drop_column("tenants", "document_rule")
    op.drop_table("trusted_documents")
