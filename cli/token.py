"""`treue token`: credentials for developers and operators, signed by the local issuer, and their revocation."""

import sys
import uuid
from datetime import timedelta

import click

from api.issuer import Claims, InvalidToken, Issuer
from cli.credentials import local_issuer
from cli.work import no_tenant, work_as_app
from loyalty.rules.ids import TenantId
from loyalty.services.revocation import revoke_signed_token, revoke_subject
from loyalty.storage.api_tokens import ApiTokenRow
from permissions.roles import Role
from runtime.problems import SetupProblem
from runtime.settings import load_settings

DEFAULT_HOURS = 8
TOKEN_ROLES = [role for role in Role if role is not Role.INTEGRATION]
OPERATOR = "treue token revoke"


@click.group(invoke_without_command=True)
@click.option("--tenant", "tenant_id", type=click.UUID, help="The tenant's id (`treue tenant list`).  [required]")
@click.option(
    "--role",
    type=click.Choice(TOKEN_ROLES, case_sensitive=False),
    help="The role, which says what the token may do.  [required]",
)
@click.option("--subject", help="The person whom the token is for; for CUSTOMER the customer's id.")
@click.option("--name", default="Local operator", show_default=True, help="The name that others see.")
@click.option("--hours", default=DEFAULT_HOURS, show_default=True, type=click.IntRange(1, 24 * 7), help="Lifetime.")
@click.pass_context
def token(
    context: click.Context, tenant_id: uuid.UUID | None, role: Role | None, subject: str | None, name: str, hours: int
) -> None:
    """Print a bearer token for a member of the team or a customer. Partner systems get API tokens over the API."""
    if context.invoked_subcommand is not None:
        if given := [name for name in context.params if _was_given(context, name)]:
            raise click.UsageError(f"Put the options after `{context.invoked_subcommand}`: {', '.join(given)}.")
        return
    if tenant_id is None:
        raise click.UsageError("Missing option '--tenant'.")
    if role is None:
        raise click.UsageError("Missing option '--role'.")
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


@token.command()
@click.argument("text", metavar="[TOKEN]", required=False)
@click.option("--tenant", "tenant_id", type=click.UUID, help="With --subject: the tenant's id.")
@click.option("--subject", help="End all tokens of this person, or of the customer with this id.")
def revoke(text: str | None, tenant_id: uuid.UUID | None, subject: str | None) -> None:
    """End signed tokens at once: one TOKEN, or all tokens of a --subject. With - the TOKEN is read from standard input.

    Customer tokens that an ended token made end, too. For a single TOKEN the API tokens that it made also end.
    """
    if (text is None) == (subject is None) or (subject is None) != (tenant_id is None):
        raise click.UsageError("Give either a TOKEN, or --tenant and --subject.")
    if text is not None:
        claims = _read_claims(local_issuer(load_settings()), sys.stdin.read() if text == "-" else text)
        for made in _revoke_token(claims):
            click.echo(f"API token {made.name!r} ended with it: {made.id}")
        click.echo(f"Revoked: the token of {claims.subject}, until {claims.expires_at:%Y-%m-%d %H:%M} UTC.")
    elif subject is not None and tenant_id is not None:
        _revoke_subject(TenantId(tenant_id), subject)
        click.echo(f"Revoked: all tokens of {subject} that were issued until now. API tokens stay.")


def _was_given(context: click.Context, name: str) -> bool:
    """Tell whether an option was given on the command line."""
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _read_claims(issuer: Issuer, text: str) -> Claims:
    """Return the claims of a signed token. Raises SetupProblem if the token is not valid."""
    try:
        return issuer.verify(text.strip())
    except InvalidToken as error:
        raise SetupProblem(f"There is nothing to revoke, the token is refused already: {error}.") from error


def _revoke_token(claims: Claims) -> list[ApiTokenRow]:
    """Revoke one signed token; returns the API tokens that ended with it."""
    return work_as_app(
        lambda world: revoke_signed_token(world, claims.tenant_id, claims.token_id, OPERATOR),
        unknown=no_tenant(claims.tenant_id),
    )


def _revoke_subject(tenant_id: TenantId, subject: str) -> None:
    """Revoke all signed tokens of a subject that were issued until now."""
    work_as_app(
        lambda world: revoke_subject(world, tenant_id, subject, OPERATOR),
        unknown=no_tenant(tenant_id),
    )
