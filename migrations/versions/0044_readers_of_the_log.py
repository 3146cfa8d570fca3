"""Readers of the log keep their positions, and the first one adds up the figures of each day.

Revision ID: 0044
Revises: 0043
"""

import sqlalchemy as sa
from alembic import op

from tenancy.policies import visible_to_relay, wall

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply. The worker makes the rows of the readers when it starts."""
    op.create_table(
        "log_readers",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("reader", sa.Text(collation="C"), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("reaches", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("problem", sa.Text(), nullable=True),
        sa.CheckConstraint("position >= 0", name=op.f("log_readers_position_check")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name=op.f("log_readers_tenants_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", "reader", name=op.f("log_readers_pkey")),
    )
    op.create_index(
        "log_readers_due_at_idx",
        "log_readers",
        ["due_at", "tenant_id", "reader"],
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    for statement in wall("log_readers", app="SELECT, UPDATE (position, due_at, attempts, problem)"):
        op.execute(statement)
    seen = "SELECT (tenant_id, reader, reaches, due_at), INSERT, UPDATE (reaches, due_at)"
    for statement in visible_to_relay("log_readers", rights=seen):
        op.execute(statement)
    op.create_table(
        "daily_figures",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("events", sa.BigInteger(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("daily_figures_tenants_tenant_id_fkey")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "day", "kind", name=op.f("daily_figures_pkey")),
    )
    for statement in wall("daily_figures", app="SELECT, INSERT, UPDATE (events, points)"):
        op.execute(statement)


def downgrade() -> None:
    """Undo this revision."""
    op.drop_table("daily_figures")
    op.drop_table("log_readers")
