"""A fact of a purchase carries a digest of its columns, and a lot keeps the expiry that it was opened with.

Revision ID: 0021
Revises: 0020
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

REWRITTEN = ("purchase_facts", "lots")
"""Tables to fill in. Forced RLS hides the rows from their owner too, so it is off meanwhile."""

FILL_DIGESTS = """
    UPDATE purchase_facts SET digest = sha256(convert_to(concat_ws('|', purchase_id, version, fingerprint, status,
        facts::text, (extract(epoch FROM recorded_at) * 1000000)::bigint, recorded_by, coalesce(report_key, ''),
        coalesce(report_client, ''), coalesce(state_mark, '')), 'UTF8'))
"""

FILL_EXPIRIES = "UPDATE lots SET opened_expires_at = expires_at WHERE expires_at IS NOT NULL"
"""The first expiry of a lot that was put off is not known any more: its present expiry is taken."""


def upgrade() -> None:
    """Apply this revision."""
    for table in REWRITTEN:
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    op.add_column("purchase_facts", sa.Column("digest", sa.LargeBinary(), nullable=True))
    op.add_column("lots", sa.Column("opened_expires_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(FILL_DIGESTS)
    op.execute(FILL_EXPIRIES)
    op.alter_column("purchase_facts", "digest", nullable=False)
    for table in REWRITTEN:
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")


def downgrade() -> None:
    """Drop both columns."""
    op.drop_column("lots", "opened_expires_at")
    op.drop_column("purchase_facts", "digest")
