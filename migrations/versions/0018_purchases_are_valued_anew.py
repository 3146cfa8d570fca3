"""Purchases that change are valued again: accruals keep their credited points, former valuations and former items.

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from tenancy.policies import APP, wall

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

REWRITTEN = ("accruals", "entries")
"""Tables to read or fill in. Forced RLS hides the rows from their owner too, so it is off meanwhile."""

BACKFILL = """
    UPDATE accruals a SET earned_points = e.earned, taken_points = e.taken
    FROM (SELECT tenant_id, cause_id, coalesce(sum(points) FILTER (WHERE kind = 'EARNED'), 0) AS earned,
                 coalesce(-sum(points) FILTER (WHERE kind = 'EARN_REVERSED'), 0) AS taken
          FROM entries WHERE kind IN ('EARNED', 'EARN_REVERSED') GROUP BY tenant_id, cause_id) e
    WHERE (a.tenant_id, a.id) = (e.tenant_id, e.cause_id)
"""

CHANGING = "points, earned_points, taken_points, valuation, points_paid_minor, breakdown"


def upgrade() -> None:
    """Apply this revision."""
    document = postgresql.JSONB(none_as_null=True, astext_type=sa.Text())
    for table in REWRITTEN:
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    for name, default in (("earned_points", "0"), ("taken_points", "0")):
        op.add_column("accruals", sa.Column(name, sa.BigInteger(), nullable=False, server_default=default))
    op.add_column("accruals", sa.Column("valuation", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("accruals", sa.Column("points_paid_minor", sa.BigInteger(), nullable=True))
    op.add_column("accruals", sa.Column("frozen", document, nullable=True))
    op.execute(BACKFILL)
    for name in ("earned_points", "taken_points", "valuation"):
        op.alter_column("accruals", name, server_default=None)
    for table in REWRITTEN:
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"GRANT UPDATE ({CHANGING}) ON accruals TO {APP}")
    op.create_table(
        "former_valuations",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("accrual_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("points", sa.BigInteger(), nullable=False),
        sa.Column("breakdown", document, nullable=False),
        sa.Column("points_paid_minor", sa.BigInteger(), nullable=True),
        sa.Column("replaced_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("replaced_by", sa.Text(), nullable=False),
        sa.CheckConstraint("number > 0", name=op.f("former_valuations_number_check")),
        sa.CheckConstraint("points >= 0", name=op.f("former_valuations_points_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id", "accrual_id"],
            ["accruals.tenant_id", "accruals.id"],
            name=op.f("former_valuations_accruals_tenant_id_accrual_id_fkey"),
        ),
        sa.PrimaryKeyConstraint("tenant_id", "accrual_id", "number", name=op.f("former_valuations_pkey")),
    )
    kinds = "'SERVICE', 'CLASS', 'PRODUCT', 'CATEGORY', 'LOCATION', 'STAFF'"
    op.create_table(
        "catalog_history",
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(collation="C"), nullable=False),
        sa.Column("external_id", sa.Text(collation="C"), nullable=False),
        sa.Column("until_config_version", sa.Integer(), nullable=False),
        sa.Column("state", document, nullable=True),
        sa.CheckConstraint(f"kind IN ({kinds})", name=op.f("catalog_history_kind_check")),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("catalog_history_tenants_tenant_id_fkey")
        ),
        sa.PrimaryKeyConstraint(
            "tenant_id", "kind", "external_id", "until_config_version", name=op.f("catalog_history_pkey")
        ),
    )
    for table in ("former_valuations", "catalog_history"):
        for statement in wall(table, app="SELECT, INSERT"):
            op.execute(statement)


def downgrade() -> None:
    """Drop tables and columns. Points stay as the newest valuation gave them; former valuations are lost."""
    op.drop_table("catalog_history")
    op.drop_table("former_valuations")
    for name in ("frozen", "points_paid_minor", "valuation", "taken_points", "earned_points"):
        op.drop_column("accruals", name)
