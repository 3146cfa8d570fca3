"""Tenants say which modules of the business are on: the program needs some and excludes one.

Revision ID: 0049
Revises: 0048
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from tenancy.policies import APP

revision = "0049"
down_revision = "0048"
branch_labels = None
depends_on = None

NEEDED = """'["PAYMENTS", "CUSTOMER_LOGIN", "COUPONS", "GIFT_CARDS"]'::jsonb"""


def upgrade() -> None:
    """Apply. For tenants from before, all features are on that the program needs."""
    op.add_column(
        "tenants",
        sa.Column(
            "features",
            postgresql.JSONB(none_as_null=True, astext_type=sa.Text()),
            nullable=False,
            server_default=sa.text(NEEDED),
        ),
    )
    op.alter_column("tenants", "features", server_default=None)
    op.create_check_constraint(op.f("tenants_features_check"), "tenants", "jsonb_typeof(features) = 'array'")
    op.execute(f"GRANT UPDATE (features) ON tenants TO {APP}")


def downgrade() -> None:
    """Undo this revision."""
    op.execute(f"REVOKE UPDATE (features) ON tenants FROM {APP}")
    op.drop_column("tenants", "features")
