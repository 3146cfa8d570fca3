"""The policies of the wall name their roles, application and owner, and the relay has policies for what it writes.

Revision ID: 0046
Revises: 0045
"""

import sqlalchemy as sa
from alembic import op

from tenancy.policies import RELAY, WALLED_IN, added_by_relay, kept_by_relay

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None

ADDED = ("audit_entries", "program_versions", "programs")
KEPT = ("event_positions", "events", "log_readers", "tenants")
READ = ("accounts", "accruals", "gift_card_holds", "gift_cards", "holds", "jobs", "lots", "purchases")

FOR_EVERYBODY = sa.text(
    "SELECT tablename, policyname FROM pg_policies WHERE schemaname = 'public' AND roles = '{public}'"
)


def upgrade() -> None:
    """Apply. Until now the relay added rows under the wall's policies for every role. It gets policies of its own."""
    for table, policy in op.get_bind().execute(FOR_EVERYBODY).all():
        op.execute(f"ALTER POLICY {policy} ON {table} TO {WALLED_IN}")
    for table in ADDED:
        for statement in added_by_relay(table):
            op.execute(statement)
    for table in (*KEPT, *READ):
        op.execute(f"DROP POLICY relay_sees_all ON {table}")
    for table in KEPT:
        op.execute(kept_by_relay(table))
    for table in READ:
        op.execute(f"CREATE POLICY relay_sees_all ON {table} FOR SELECT TO {RELAY} USING (true)")


def downgrade() -> None:
    """Refuse: there is no reason to go back to walls that hold for every role."""
    raise NotImplementedError("nobody needs a wall for everybody")
