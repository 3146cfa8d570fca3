"""Reports carry only what was sent: when each fact was told, the key of a report, and what was known after it.

Revision ID: 0010
Revises: 0009
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

FINGERPRINT_KEY = "purchase_facts_tenant_id_purchase_id_fingerprint_key"
REPORT_KEY = "purchase_facts_report_key"


def upgrade() -> None:
    """Apply this revision."""
    document = postgresql.JSONB(none_as_null=True, astext_type=sa.Text())
    # Purchases of earlier releases begin with no times: what they know counts as told by their newest report.
    op.add_column("purchases", sa.Column("told_at", document, nullable=False, server_default=sa.text("'{}'")))
    op.alter_column("purchases", "told_at", server_default=None)
    op.add_column("purchase_facts", sa.Column("report_key", sa.Text(collation="C"), nullable=True))
    op.add_column("purchase_facts", sa.Column("report_client", sa.Text(collation="C"), nullable=True))
    op.add_column("purchase_facts", sa.Column("state_mark", sa.Text(collation="C"), nullable=True))
    # The same report may be a new fact, when its time or its key says so.
    op.drop_constraint(FINGERPRINT_KEY, "purchase_facts", type_="unique")
    op.create_index("purchase_facts_fingerprint_idx", "purchase_facts", ["tenant_id", "purchase_id", "fingerprint"])
    columns = ["tenant_id", "purchase_id", "report_key", "report_client"]
    op.create_unique_constraint(REPORT_KEY, "purchase_facts", columns)


def downgrade() -> None:
    """Drop the columns. That fails if the same report was recorded twice: the release before cannot have such facts."""
    op.drop_constraint(REPORT_KEY, "purchase_facts", type_="unique")
    op.drop_index("purchase_facts_fingerprint_idx", "purchase_facts")
    op.create_unique_constraint(FINGERPRINT_KEY, "purchase_facts", ["tenant_id", "purchase_id", "fingerprint"])
    op.drop_column("purchase_facts", "state_mark")
    op.drop_column("purchase_facts", "report_client")
    op.drop_column("purchase_facts", "report_key")
    op.drop_column("purchases", "told_at")
