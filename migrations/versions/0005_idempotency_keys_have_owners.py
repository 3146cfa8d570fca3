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
"""Tables to read or fill in. Forced RLS hides the rows from their owner too, so it is off meanwhile."""

GIVE_CUSTOMERS_THEIR_KEYS = """
    UPDATE idempotency_keys k SET client = 'customer:' || h.customer_id
    FROM holds h
    WHERE (h.tenant_id, h.id) = (k.tenant_id, k.result_id)
      AND k.operation = 'redemptionHold' AND h.actor_kind = 'CUSTOMER'
"""
"""The client of a key was not kept. A hold tells whether its customer made it; other keys stay without a client."""


def upgrade() -> None:
    """Apply. The default of the column stays, so that servers of the release before can write meanwhile."""
    for table in READ_OR_FILLED:
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.add_column(TABLE, sa.Column("client", sa.Text(collation="C"), nullable=False, server_default=""))
    op.execute(GIVE_CUSTOMERS_THEIR_KEYS)
    op.drop_constraint(CONSTRAINT, TABLE, type_="primary")
    op.create_primary_key(CONSTRAINT, TABLE, ["tenant_id", "key", "operation", "client"])
    for table in READ_OR_FILLED:
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    """Refuse: two clients may have used the same key since."""
    raise NotImplementedError("two clients may have used the same key since")
