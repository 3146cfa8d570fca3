"""How revisions run: as the owner of the tables, with limits, so that none ever waits in front of a live table."""

from alembic import context
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

import loyalty.storage.tables  # noqa: F401 - declares the tables that revisions are compared with
from tenancy.database import sqlalchemy_url
from tenancy.platform_tables import platform_metadata
from tenancy.table import metadata

LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "10min"


def run_migrations() -> None:
    """Run the revisions that the command asks for, each in its own transaction."""
    engine = create_engine(sqlalchemy_url(context.config.attributes["owner_url"]), poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.execute(text(f"SET statement_timeout = '{STATEMENT_TIMEOUT}'"))
        connection.commit()
        context.configure(
            connection=connection, target_metadata=[metadata, platform_metadata], transaction_per_migration=True
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run_migrations()
