"""Gift cards have notices of their expiry, and their codes can be encrypted again with another key.

Revision ID: 0047
Revises: 0046
"""

import sqlalchemy as sa
from alembic import op

from tenancy.policies import APP, RELAY

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

CHANGING = "notice_at, code_hash, code_sealed"


def upgrade() -> None:
    """Apply this revision."""
    # Every card from before is due now: the sweep looks at it once, and sets the time of its next notice.
    op.add_column("gift_cards", sa.Column("notice_at", sa.DateTime(timezone=True), server_default=sa.func.now()))
    op.alter_column("gift_cards", "notice_at", server_default=None)
    where = sa.text("notice_at IS NOT NULL")
    op.create_index("gift_cards_notice_idx", "gift_cards", ["tenant_id", "notice_at", "id"], postgresql_where=where)
    op.create_index("gift_cards_notice_at_idx", "gift_cards", ["notice_at", "tenant_id", "id"], postgresql_where=where)
    op.execute(f"GRANT UPDATE ({CHANGING}) ON gift_cards TO {APP}")
    op.execute(f"GRANT SELECT (notice_at) ON gift_cards TO {RELAY}")


def downgrade() -> None:
    """Undo this revision."""
    op.execute(f"REVOKE UPDATE (code_hash, code_sealed) ON gift_cards FROM {APP}")
    op.drop_index("gift_cards_notice_at_idx", "gift_cards")
    op.drop_index("gift_cards_notice_idx", "gift_cards")
    op.drop_column("gift_cards", "notice_at")
