"""A hold without a location gets the location at which it is captured.

Revision ID: 0056
Revises: 0055
"""

from alembic import op

from tenancy.policies import APP

revision = "0056"
down_revision = "0055"
branch_labels = None
depends_on = None

HOLDS = ("holds", "gift_card_holds")


def upgrade() -> None:
    """Apply. Holds that were captured before stay as they are."""
    for table in HOLDS:
        op.execute(f"GRANT UPDATE (location) ON {table} TO {APP}")


def downgrade() -> None:
    """Undo this revision."""
    for table in HOLDS:
        op.execute(f"REVOKE UPDATE (location) ON {table} FROM {APP}")
