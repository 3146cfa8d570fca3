"""Logout tokens of providers are remembered, so that a sign-in that is under way begins no session after one.

Revision ID: 0062
Revises: 0061
"""

import sqlalchemy as sa
from alembic import op

from tenancy.policies import wall

revision = "0062"
down_revision = "0061"
branch_labels = None
depends_on = None

TABLE = "provider_logouts"


def upgrade() -> None:
    """Apply."""
    op.create_table(
        TABLE,
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("issuer_id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.Text(collation="C"), nullable=False),
        sa.Column("provider_session", sa.Text(collation="C"), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("forget_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "issuer_id"],
            ["oidc_issuers.tenant_id", "oidc_issuers.id"],
            name=op.f("provider_logouts_oidc_issuers_tenant_id_issuer_id_fkey"),
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "issuer_id", "subject", "provider_session", name=op.f("provider_logouts_pkey")
        ),
    )
    op.create_index("provider_logouts_forget_idx", TABLE, ["tenant_id", "forget_at"])
    for statement in wall(TABLE, app="SELECT, INSERT, DELETE, UPDATE (issued_at, forget_at)"):
        op.execute(statement)


def downgrade() -> None:
    """Take it away."""
    op.drop_table(TABLE)
