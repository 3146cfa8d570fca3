"""Customers can be archived and brought back.

Revision ID: 0023
Revises: 0022
"""

import sqlalchemy as sa
from alembic import op

from tenancy.policies import wall

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply this revision."""
    op.add_column("accounts", sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True))
    op.create_check_constraint(op.f("accounts_archived_check"), "accounts", "archived_at IS NULL OR held = 0")
    op.create_index(
        "accounts_archived_idx",
        "accounts",
        ["tenant_id", "customer_id"],
        unique=False,
        postgresql_where=sa.text("archived_at IS NOT NULL"),
    )
    op.create_table(
        "customer_archivings",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("customer_id", sa.Uuid(), nullable=False),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("cause_id", sa.Uuid(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "customer_id"],
            ["customers.tenant_id", "customers.id"],
            name=op.f("customer_archivings_customers_tenant_id_customer_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("customer_archivings_pkey")),
    )
    op.create_index(
        "customer_archivings_customer_idx", "customer_archivings", ["tenant_id", "customer_id", "id"], unique=False
    )
    for statement in wall("customer_archivings", app="SELECT, INSERT"):
        op.execute(statement)


def downgrade() -> None:
    """Undo this revision."""
    op.drop_table("customer_archivings")
    op.drop_index("accounts_archived_idx", "accounts")
    op.drop_constraint(op.f("accounts_archived_check"), "accounts", type_="check")
    op.drop_column("accounts", "archived_at")
