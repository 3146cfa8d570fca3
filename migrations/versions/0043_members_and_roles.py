"""Tables for members of the team, for roles that tenants make, and for the points that somebody adjusts in a day.

Revision ID: 0043
Revises: 0042
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from tenancy.policies import APP, wall

revision = "0043"
down_revision = "0042"
branch_labels = None
depends_on = None

CHANGED_ROLES = "name, folded_name, permissions, daily_points, changed_at, changed_by, deleted_at"
CHANGED_MEMBERS = "name, subject, role_id, changed_at, changed_by, joined_at, removed_at"


def upgrade() -> None:
    """Apply this revision."""
    op.create_table(
        "roles",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("folded_name", sa.Text(collation="C"), nullable=False),
        sa.Column("permissions", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=False),
        sa.Column("daily_points", sa.BigInteger(), nullable=False),
        *_who_and_when(),
        sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("daily_points >= 0", name=op.f("roles_daily_points_check")),
        *_of_tenants("roles"),
    )
    op.create_index(
        "roles_name_key",
        "roles",
        ["tenant_id", "folded_name"],
        unique=True,
        postgresql_where=sa.text("deleted_at IS NULL"),
    )
    op.create_table(
        "members",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(collation="C"), nullable=True),
        sa.Column("subject", sa.Text(collation="C"), nullable=True),
        sa.Column("role_id", sa.Uuid(), nullable=False),
        *_who_and_when(),
        sa.Column("joined_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("email IS NOT NULL OR subject IS NOT NULL", name=op.f("members_person_check")),
        *_of_tenants("members"),
    )
    for name in ("subject", "email"):
        op.create_index(
            f"members_{name}_key",
            "members",
            ["tenant_id", name],
            unique=True,
            postgresql_where=sa.text("removed_at IS NULL"),
        )
    op.create_index(
        "members_removed_idx", "members", ["tenant_id", "subject"], postgresql_where=sa.text("removed_at IS NOT NULL")
    )
    op.create_index("members_time_idx", "members", ["tenant_id", "created_at", "id"])
    op.create_table(
        "adjusted_days",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("subject", sa.Text(collation="C"), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("points >= 0", name=op.f("adjusted_days_points_check")),
        *_of_tenants("adjusted_days", "subject"),
    )
    op.add_column("api_tokens", sa.Column("rotated_by", sa.Text(collation="C"), nullable=True))
    for table, changed in (("roles", CHANGED_ROLES), ("members", CHANGED_MEMBERS), ("adjusted_days", "day, points")):
        for statement in wall(table, app=f"SELECT, INSERT, UPDATE ({changed})"):
            op.execute(statement)
    op.execute(f"GRANT UPDATE (rotated_by) ON api_tokens TO {APP}")


def downgrade() -> None:
    """Refuse: removed members would be let in again."""
    raise NotImplementedError("who was removed would be let in again")


def _who_and_when() -> list[sa.Column[object]]:
    """Return the columns that say who made and changed a row, and when."""
    return [
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.Text(), nullable=False),
    ]


def _of_tenants(table: str, key: str = "id") -> list[sa.Constraint]:
    """Return the primary key of a table, and its reference to the table of tenants."""
    return [
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.tenant_id"], name=op.f(f"{table}_tenants_tenant_id_fkey")),
        sa.PrimaryKeyConstraint("tenant_id", key, name=op.f(f"{table}_pkey")),
    ]
