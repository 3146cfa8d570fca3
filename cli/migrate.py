"""`treue migrate`: bring the database to the newest revision."""

import click

from migrations.run import upgrade
from runtime.databases import provide_database
from runtime.roles import OWNER_ROLE
from runtime.settings import load_settings


@click.command()
def migrate() -> None:
    """Make what is missing: roles, database, tables. Harmless to repeat."""
    with provide_database(load_settings(), OWNER_ROLE, prepare=True) as urls:
        upgrade(urls.owner)
    click.echo("The database is up to date.")
