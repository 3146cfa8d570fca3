"""`treue schema`: the API as text."""

import click

from schema.executable import print_sdl
from schema.platform.root import platform_schema
from schema.root import treue_schema


@click.command()
@click.option("--platform", is_flag=True, help="The schema of the platform's API.")
def schema(*, platform: bool) -> None:
    """Print the GraphQL schema, sorted."""
    click.echo(print_sdl(platform_schema() if platform else treue_schema()), nl=False)
