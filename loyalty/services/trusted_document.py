"""Trusted documents of a tenant: register, remove, list and find them, and set who may run no other documents."""

from collections.abc import Sequence
from typing import NamedTuple

from uuid_utils.compat import uuid7

from loyalty.rules.audit import AuditedChange, AuditSubject
from loyalty.rules.errors import LimitReached, NotFound, refuse_problems
from loyalty.rules.trusted_document import (
    MAX_TRUSTED_CHARACTERS,
    MAX_TRUSTED_DOCUMENTS,
    DocumentRule,
    OfferedDocument,
    check_number,
    check_offered,
)
from loyalty.services.audit import note_changes
from loyalty.services.program import lock_program_in_force
from loyalty.services.world import World
from loyalty.storage.tenants import TenantRow, read_tenant
from loyalty.storage.trusted_documents import (
    TrustedDocumentRow,
    count_kept,
    delete_documents,
    insert_documents,
    list_documents,
    read_document_text,
    read_documents,
    save_document_rule,
)
from loyalty.storage.window import TimePlace, Window
from permissions.actor import Actor
from permissions.catalog import Permission
from permissions.policy import require


class Registered(NamedTuple):
    """The documents of a call as they are stored, in its order, and how many of them are new."""

    documents: Sequence[TrustedDocumentRow]
    added: int


async def register_documents(world: World, actor: Actor, offered: Sequence[OfferedDocument]) -> Registered:
    """Register documents, all or none. A registered document stays as it is.

    Refusals: InvalidInput, LimitReached.
    """
    require(actor, Permission.LOYALTY_MANAGE, even_when_off=True)
    refuse_problems(check_offered(offered))
    wanted = {one.sha256: one for one in offered}
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        await lock_program_in_force(tx, even_when_off=True)
        known = await read_documents(tx, list(wanted))
        now = world.clock()
        new = [
            TrustedDocumentRow(uuid7(), one.sha256, one.name, one.text, now, actor.display)
            for one in wanted.values()
            if one.sha256 not in known
        ]
        if new:
            kept = await count_kept(tx)
            if kept.documents + len(new) > MAX_TRUSTED_DOCUMENTS:
                raise LimitReached("trusted documents", MAX_TRUSTED_DOCUMENTS)
            if kept.characters + sum(len(one.text) for one in new) > MAX_TRUSTED_CHARACTERS:
                raise LimitReached("characters of trusted documents", MAX_TRUSTED_CHARACTERS)
            await insert_documents(tx, new)
            await note_changes(tx, actor, now, [_describe(None, one) for one in new])
    rows = known | {one.sha256: one for one in new}
    return Registered([rows[one.sha256] for one in offered], len(new))


async def remove_documents(world: World, actor: Actor, hashes: Sequence[str]) -> int:
    """Remove documents, all or none. Return how many. Refusals: InvalidInput, NotFound."""
    require(actor, Permission.LOYALTY_MANAGE, even_when_off=True)
    refuse_problems(check_number(len(hashes), "document_ids"))
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        await lock_program_in_force(tx, even_when_off=True)
        known = await read_documents(tx, hashes)
        for place, sha256 in enumerate(hashes):
            if sha256 not in known:
                raise NotFound("trusted document", ("document_ids", str(place)))
        await delete_documents(tx, hashes)
        await note_changes(tx, actor, world.clock(), [_describe(one, None) for one in known.values()])
    return len(known)


async def set_document_rule(world: World, actor: Actor, rule: DocumentRule) -> TenantRow:
    """Set who may run only trusted documents, and return the tenant with the rule."""
    require(actor, Permission.LOYALTY_MANAGE, even_when_off=True)
    async with world.database.tenant_transaction(actor.tenant_id) as tx:
        await lock_program_in_force(tx, even_when_off=True)
        former = await read_tenant(tx)
        await save_document_rule(tx, rule)
        states = ({"rule": one.name} for one in (former.document_rule, rule))
        change = AuditedChange(AuditSubject.DOCUMENT_RULE, "document_rule", "Rule of documents", *states)
        await note_changes(tx, actor, world.clock(), [change])
    return former._replace(document_rule=rule)


async def page_documents(world: World, actor: Actor, _: None, window: Window[TimePlace]) -> list[TrustedDocumentRow]:
    """Return a page of the tenant's documents, newest first."""
    require(actor, Permission.LOYALTY_MANAGE, even_when_off=True)
    rows = await list_documents().read(world.database.reading(actor.tenant_id), window)
    return [TrustedDocumentRow._make(row) for row in rows]


async def count_documents(world: World, actor: Actor, _: None) -> int:
    """Return the number of documents that the tenant trusts."""
    require(actor, Permission.LOYALTY_MANAGE, even_when_off=True)
    return await list_documents().count(world.database.reading(actor.tenant_id))


def recall_document(world: World, actor: Actor, sha256: str) -> str | None:
    """Return the text of a trusted document, if this process has read it already; else None."""
    version = world.documents.remember_version(actor.tenant_id, actor.documents.version)
    return world.documents.find(actor.tenant_id, version, sha256)


def has_documents(world: World, actor: Actor) -> bool:
    """Tell whether the caller's tenant has ever registered documents: the first registration makes version 1."""
    return world.documents.remember_version(actor.tenant_id, actor.documents.version) > 0


async def find_document(world: World, actor: Actor, sha256: str) -> str | None:
    """Read the text of a document; None if the caller's tenant does not trust that document."""
    version = world.documents.remember_version(actor.tenant_id, actor.documents.version)
    text = await read_document_text(world.database.reading(actor.tenant_id), sha256)
    if text is not None:
        world.documents.keep(actor.tenant_id, version, sha256, text)
    return text


def _describe(before: TrustedDocumentRow | None, after: TrustedDocumentRow | None) -> AuditedChange:
    """Return the change of a document for the audit log: its hash, without its text."""
    row = after or before
    if row is None:
        raise ValueError("a change has a state before it or after it")
    states = (None if one is None else {"name": one.name} for one in (before, after))
    return AuditedChange(AuditSubject.TRUSTED_DOCUMENT, row.sha256, row.name or row.sha256, *states)
