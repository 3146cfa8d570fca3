"""Tenants live in one of several clusters: the directory, and a database that refuses tenants who are elsewhere.

Revision ID: 0053
Revises: 0052
"""

import sqlalchemy as sa
from alembic import op

from tenancy.policies import added_by_relay, read_inside_tenant, visible_to_followers, visible_to_relay, wall

revision = "0053"
down_revision = "0052"
branch_labels = None
depends_on = None

STATE_CHECK = "tenants_state_check"
TABLE = "tenant_directory"


def upgrade() -> None:
    """Apply. A tenant without a row in the directory lives in the home cluster, as all tenants so far."""
    op.drop_constraint(op.f(STATE_CHECK), "tenants")
    op.create_check_constraint(
        op.f(STATE_CHECK), "tenants", "state IN ('ACTIVE', 'SUSPENDED', 'CLOSED', 'ARRIVING', 'MOVED')"
    )
    op.create_index(
        "tenants_elsewhere_idx", "tenants", ["tenant_id"], postgresql_where=sa.text("state IN ('ARRIVING', 'MOVED')")
    )
    op.create_table(
        TABLE,
        sa.Column("tenant_id", sa.Uuid(), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f(f"{TABLE}_pkey")),
    )
    for statement in (
        *wall(TABLE, app="SELECT"),
        *visible_to_followers(TABLE),
        *visible_to_relay(TABLE, rights="SELECT"),
        *added_by_relay(TABLE),
        read_inside_tenant("token_directory"),
    ):
        op.execute(statement)


def downgrade() -> None:
    """Refuse: a tenant that has moved would be open in two clusters."""
    raise NotImplementedError("a tenant that has moved would be open in two clusters")
