"""Documents that a tenant trusts."""

from datetime import datetime

import strawberry

from loyalty.storage.trusted_documents import TrustedDocumentRow
from loyalty.storage.window import TimePlace
from schema.connections import Order, time_order
from schema.fields import computed
from schema.persisted import SHA256_PREFIX
from schema.types.node import reads, row_of

DOCUMENT_ORDER: Order[TimePlace] = time_order("trusted documents")


@strawberry.type(description="A document that clients of the tenant may run by its hash.")
class TrustedDocument:
    is_type_of = reads(TrustedDocumentRow)

    name: str | None = strawberry.field(description="What the tenant calls it; null without a name.")
    text: str = strawberry.field(description="The document itself.")
    created_at: datetime = strawberry.field(description="When it was registered.")
    created_by: str = strawberry.field(description="The actor who registered the document.")

    @computed(description="`sha256:` with the SHA-256 of the text, as clients send it in `documentId`.")
    def document_id(self) -> str:
        """From the stored hash."""
        return SHA256_PREFIX + row_of(TrustedDocumentRow, self).sha256
