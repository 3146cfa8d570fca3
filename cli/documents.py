"""`treue documents`: the documents that a tenant trusts."""

import uuid
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from cli.work import no_tenant, work_as_app
from loyalty.rules.ids import TenantId
from loyalty.rules.trusted_document import MAX_DOCUMENTS_AT_ONCE, DocumentRule, OfferedDocument
from permissions.actor import Actor, system_actor
from runtime.problems import SetupProblem

if TYPE_CHECKING:
    from loyalty.services.world import World

T = TypeVar("T")
TENANT = click.option("--tenant", "tenant_id", type=click.UUID, required=True, help="The tenant's id.")


@click.group()
def documents() -> None:
    """Register the documents that a tenant trusts, and set who may run no other documents."""


@documents.command()
@TENANT
@click.argument("manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def register(tenant_id: uuid.UUID, manifest: Path) -> None:
    """Register the documents of MANIFEST, as the tools of Apollo, Relay and graphql-codegen write it.

    Documents that are registered already stay as they are. If one document may not run, none is registered. They are
    registered 100 at a time: if a limit of the tenant is reached, the hundreds before it stay registered.
    """
    from cli.manifest import read_manifest
    from loyalty.services.trusted_document import register_documents

    offered = read_manifest(manifest.read_bytes())
    _refuse_wrong(offered)

    async def work(world: "World", actor: Actor) -> int:
        added = 0
        for start in range(0, len(offered), MAX_DOCUMENTS_AT_ONCE):
            added += (await register_documents(world, actor, offered[start : start + MAX_DOCUMENTS_AT_ONCE])).added
        return added

    added = _run(tenant_id, work)
    click.echo(f"{added} of {len(offered)} documents are new.")


@documents.command()
@TENANT
@click.argument("rule", type=click.Choice([one.name for one in DocumentRule], case_sensitive=False))
def rule(tenant_id: uuid.UUID, rule: str) -> None:
    """Limit who may run documents that are not trusted.

    ANY limits nobody. CUSTOMERS limits customers, EVERYBODY all callers except those who hold LOYALTY_MANAGE.
    """
    from loyalty.services.trusted_document import set_document_rule

    async def work(world: "World", actor: Actor) -> None:
        await set_document_rule(world, actor, DocumentRule[rule])

    _run(tenant_id, work)
    click.echo(f"{tenant_id} has the rule {rule}.")


def _refuse_wrong(offered: Sequence[OfferedDocument]) -> None:
    """Refuse documents that the API would not run."""
    # Importing the schema takes seconds.
    from schema.root import treue_schema

    schema = treue_schema()
    wrong = []
    for one in offered:
        prepared = schema.documents.prepare(one.text)
        if prepared.errors:
            wrong.append(f"{one.name or one.sha256}: {prepared.errors[0].message}")
    if wrong:
        raise SetupProblem("\n".join([f"{len(wrong)} documents may not run; nothing was registered.", *wrong]))


def _run(tenant_id: uuid.UUID, work: "Callable[[World, Actor], Awaitable[T]]") -> T:
    """Run ``work`` inside the tenant, with the command line as its actor."""
    actor = system_actor(TenantId(tenant_id), "treue documents")
    return work_as_app(lambda world: work(world, actor), unknown=no_tenant(tenant_id))
