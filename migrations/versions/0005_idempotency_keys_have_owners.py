"""An idempotency key belongs to a client and an operation, no longer to the whole tenant.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

TABLE, CONSTRAINT = "idempotency_keys", "idempotency_keys_pkey"
READ_OR_FILLED = (TABLE, "holds")
"""Under forced RLS not even their owner sees a row, so the force rests for a moment."""

GIVE_CUSTOMERS_THEIR_KEYS = """
    UPDATE idempotency_keys k SET client = 'customer:' || h.customer_id
    FROM holds h
    WHERE (h.tenant_id, h.id) = (k.tenant_id, k.result_id)
      AND k.operation = 'redemptionHold' AND h.actor_kind = 'CUSTOMER'
"""
"""Who used a key was not kept. A hold tells whether its customer made it; all other keys stay the tenant's."""


def upgrade() -> None:
    """Apply. The default stays: servers of the release before go on while they are replaced."""
    for table in READ_OR_FILLED:
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.add_column(TABLE, sa.Column("client", sa.Text(collation="C"), nullable=False, server_default=""))
    op.execute(GIVE_CUSTOMERS_THEIR_KEYS)
    op.drop_constraint(CONSTRAINT, TABLE, type_="primary")
    op.create_primary_key(CONSTRAINT, TABLE, ["tenant_id", "key", "operation", "client"])
    for table in READ_OR_FILLED:
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    """None: two clients may have used one key since."""
    raise NotImplementedError("two clients may have used the same key since")
