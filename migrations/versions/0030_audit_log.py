"""The audit log: who changed which part of the configuration.

Revision ID: 0030
Revises: 0029
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from tenancy.policies import wall

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "audit_entries",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("subject_name", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("changes", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_subject", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.CheckConstraint("action IN ('CREATED', 'CHANGED', 'DELETED')", name=op.f("audit_entries_action_check")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("audit_entries_pkey")),
    )
    op.create_index("audit_entries_time_idx", "audit_entries", ["tenant_id", "happened_at", "id"])
    op.create_index(
        "audit_entries_subject_idx", "audit_entries", ["tenant_id", "subject", "subject_id", "happened_at", "id"]
    )
    for statement in wall("audit_entries", app="SELECT, INSERT"):
        op.execute(statement)


def downgrade() -> None:
    """Undo this revision."""
    op.drop_table("audit_entries")
