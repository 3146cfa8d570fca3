"""`treue schema`: the API as text."""

import click

from schema.executable import print_sdl
from schema.root import treue_schema


@click.command()
def schema() -> None:
    """Print the GraphQL schema, sorted."""
    click.echo(print_sdl(treue_schema()), nl=False)
