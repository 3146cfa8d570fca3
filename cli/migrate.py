"""`treue migrate`: bring the databases of all clusters to the newest revision."""

import click

from migrations.run import upgrade
from runtime.databases import provide_clusters
from runtime.roles import OWNER_ROLE
from runtime.settings import load_settings


@click.command()
def migrate() -> None:
    """Make the roles, the database and the tables that are missing. Running it again does no harm."""
    with provide_clusters(load_settings(), OWNER_ROLE, prepare=True) as clusters:
        for urls in clusters.values():
            upgrade(urls.owner)
    several = len(clusters) > 1
    click.echo(f"{len(clusters)} databases are up to date." if several else "The database is up to date.")
