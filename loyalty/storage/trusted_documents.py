"""The documents that a tenant trusts: found by the hash of their text."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, delete, func, select, update

from loyalty.rules.trusted_document import DocumentRule
from loyalty.storage.narrowed import Narrowed
from loyalty.storage.tables import trusted_documents
from loyalty.storage.window import Keyset
from tenancy.database import Transaction
from tenancy.reading import Reads
from tenancy.table import among, insert_rows, tenant_parameter
from tenancy.tables import tenants


class TrustedDocumentRow(NamedTuple):
    """A document that the tenant trusts."""

    id: UUID
    sha256: str
    name: str | None
    text: str
    created_at: datetime
    created_by: str


class Kept(NamedTuple):
    """The number of a tenant's documents, and the sum of their characters."""

    documents: int
    characters: int


_COLUMNS = [trusted_documents.c[name] for name in TrustedDocumentRow._fields]
_OURS = trusted_documents.c.tenant_id == tenant_parameter()
_LIST = select(*_COLUMNS).where(_OURS)
_BY_TIME = Keyset((trusted_documents.c.created_at, trusted_documents.c.id), descending=True)
_TEXT = select(trusted_documents.c.text).where(_OURS, trusted_documents.c.sha256 == bindparam("sha256"))
_BY_HASH = _LIST.where(among(trusted_documents.c.sha256, "hashes"))
_KEPT = select(
    func.count().label("count"), func.coalesce(func.sum(func.char_length(trusted_documents.c.text)), 0)
).where(_OURS)
_INSERT = insert_rows(trusted_documents, "registered")
_DELETE = delete(trusted_documents).where(_OURS, among(trusted_documents.c.sha256, "hashes"))
_TENANT = update(tenants).where(tenants.c.tenant_id == tenant_parameter())
_RAISE_VERSION = _TENANT.values(documents_version=tenants.c.documents_version + 1)
_SET_RULE = _TENANT.values(document_rule=bindparam("rule"))


def list_documents() -> Narrowed:
    """Return the list of a tenant's documents, ordered by their registration."""
    return Narrowed(_LIST, _BY_TIME)


async def read_document_text(tx: Reads, sha256: str) -> str | None:
    """Return the text of a document by its hash; None if the tenant does not trust it."""
    row = await tx.row(_TEXT, sha256=sha256)
    return None if row is None else row.text


async def read_documents(tx: Reads, hashes: Sequence[str]) -> dict[str, TrustedDocumentRow]:
    """Return the documents among these hashes."""
    return {row.sha256: TrustedDocumentRow._make(row) for row in await tx.rows(_BY_HASH, hashes=list(hashes))}


async def count_kept(tx: Reads) -> Kept:
    """Count the documents of the tenant and their characters."""
    (row,) = await tx.rows(_KEPT)
    return Kept(int(row[0]), int(row[1]))


async def insert_documents(tx: Transaction, rows: Sequence[TrustedDocumentRow]) -> None:
    """Insert new documents."""
    await tx.run(_INSERT, registered=[row._asdict() for row in rows])
    await tx.run(_RAISE_VERSION)


async def delete_documents(tx: Transaction, hashes: Sequence[str]) -> None:
    """Delete documents."""
    await tx.run(_DELETE, hashes=list(hashes))
    await tx.run(_RAISE_VERSION)


async def save_document_rule(tx: Transaction, rule: DocumentRule) -> None:
    """Store who may run only trusted documents."""
    await tx.run(_SET_RULE, rule=rule.name)
