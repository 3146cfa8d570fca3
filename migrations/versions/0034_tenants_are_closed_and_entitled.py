"""Tenants can be closed, and are granted the loyalty module. The relay's role creates and changes tenants.

Revision ID: 0034
Revises: 0033
"""

import sqlalchemy as sa
from alembic import op

from tenancy.policies import RELAY

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

STATE_CHECK = "tenants_state_check"


def upgrade() -> None:
    """Apply. Tenants from before have the module."""
    op.drop_constraint(op.f(STATE_CHECK), "tenants")
    op.create_check_constraint(op.f(STATE_CHECK), "tenants", "state IN ('ACTIVE', 'SUSPENDED', 'CLOSED')")
    op.add_column(
        "tenants", sa.Column("loyalty_entitled", sa.Boolean(), nullable=False, server_default=sa.text("true"))
    )
    op.alter_column("tenants", "loyalty_entitled", server_default=None)
    # It sees who there is already. It writes the first rows of a new tenant, and reads nothing that tenants hold.
    op.execute(f"GRANT INSERT, UPDATE (state, loyalty_entitled) ON tenants TO {RELAY}")
    op.execute(f"GRANT INSERT ON programs, program_versions TO {RELAY}")


def downgrade() -> None:
    """Refuse: a closed tenant would be open again."""
    raise NotImplementedError("a closed tenant would be open again")
