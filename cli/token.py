"""`treue token`: credentials for people who develop or operate, signed by the local issuer."""

import uuid
from datetime import timedelta

import click

from cli.credentials import local_issuer
from loyalty.rules.ids import TenantId
from permissions.roles import Role
from runtime.problems import SetupProblem
from runtime.settings import load_settings

DEFAULT_HOURS = 8
TOKEN_ROLES = [role for role in Role if role is not Role.INTEGRATION]


@click.command()
@click.option("--tenant", "tenant_id", required=True, type=click.UUID, help="The tenant's id (`treue tenant list`).")
@click.option("--role", required=True, type=click.Choice(TOKEN_ROLES, case_sensitive=False), help="What it may do.")
@click.option("--subject", help="Who it is for; for CUSTOMER the customer's id.")
@click.option("--name", default="Local operator", show_default=True, help="The name that others see.")
@click.option("--hours", default=DEFAULT_HOURS, show_default=True, type=click.IntRange(1, 24 * 7), help="Lifetime.")
def token(tenant_id: uuid.UUID, role: Role, subject: str | None, name: str, hours: int) -> None:
    """Print a bearer token for a member of the team or a customer. Partner systems get API tokens over the API."""
    issuer = local_issuer(load_settings())
    if role is Role.CUSTOMER and subject is None:
        raise SetupProblem("--subject must be the customer's id.")
    try:
        issued = issuer.issue(
            subject=subject or f"local:{role.lower()}",
            tenant_id=TenantId(tenant_id),
            role=role,
            name=name,
            lifetime=timedelta(hours=hours),
        )
    except ValueError as error:
        raise SetupProblem(str(error)) from error
    click.echo(issued.text)
