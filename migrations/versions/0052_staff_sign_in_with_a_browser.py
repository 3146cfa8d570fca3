"""Staff sign in with a browser: applications at providers, and sessions.

Revision ID: 0052
Revises: 0051
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from tenancy.policies import APP, wall

revision = "0052"
down_revision = "0051"
branch_labels = None
depends_on = None

TABLE = "staff_sessions"
CLIENT = "client_id, client_secret"


def upgrade() -> None:
    """Apply this revision."""
    op.add_column("oidc_issuers", sa.Column("client_id", sa.Text(collation="C"), nullable=True))
    op.add_column("oidc_issuers", sa.Column("client_secret", sa.LargeBinary(), nullable=True))
    op.execute(f"GRANT UPDATE ({CLIENT}) ON oidc_issuers TO {APP}")
    op.create_table(
        TABLE,
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("sha256", sa.Text(collation="C"), nullable=False),
        sa.Column("state_sha256", sa.Text(collation="C"), nullable=False),
        sa.Column("issuer_id", sa.Uuid(), nullable=False),
        sa.Column("issuer_version", sa.BigInteger(), nullable=False),
        sa.Column("subject", sa.Text(collation="C"), nullable=False),
        sa.Column("display", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(collation="C"), nullable=True),
        sa.Column("claimed", postgresql.JSONB(), nullable=False),
        sa.Column("provider_session", sa.Text(collation="C"), nullable=True),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "issuer_id"],
            ["oidc_issuers.tenant_id", "oidc_issuers.id"],
            name=op.f("staff_sessions_oidc_issuers_tenant_id_issuer_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("staff_sessions_pkey")),
        sa.UniqueConstraint("tenant_id", "sha256", name=op.f("staff_sessions_tenant_id_sha256_key")),
        sa.UniqueConstraint("tenant_id", "state_sha256", name=op.f("staff_sessions_tenant_id_state_sha256_key")),
    )
    op.create_index("staff_sessions_person_idx", TABLE, ["tenant_id", "subject", "started_at", "id"])
    op.create_index("staff_sessions_provider_idx", TABLE, ["tenant_id", "issuer_id", "provider_session"])
    op.create_index("staff_sessions_end_idx", TABLE, ["tenant_id", "ends_at"])
    for statement in wall(TABLE, app="SELECT, INSERT, DELETE, UPDATE (ended_at)"):
        op.execute(statement)


def downgrade() -> None:
    """Undo this revision."""
    op.drop_table(TABLE)
    op.execute(f"REVOKE UPDATE ({CLIENT}) ON oidc_issuers FROM {APP}")
    op.drop_column("oidc_issuers", "client_secret")
    op.drop_column("oidc_issuers", "client_id")
