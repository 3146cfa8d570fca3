"""``trustedDocuments``: the documents that clients of the tenant may run by their hash."""

from loyalty.rules.listing import OrderDirection
from loyalty.services.trusted_document import count_documents, page_documents
from permissions.catalog import Permission
from schema.connections import Connection, Page
from schema.context import Info
from schema.guard import guarded
from schema.types.arguments import After, Before, First, Last, NewestFirst
from schema.types.listed import load_listed_page
from schema.types.trusted_document import DOCUMENT_ORDER, TrustedDocument


@guarded(
    Permission.LOYALTY_MANAGE,
    description="The documents that the tenant trusts, by when they were registered, by default newest first.",
    even_when_off=True,
)
async def trusted_documents(
    info: Info,
    direction: NewestFirst = OrderDirection.DESCENDING,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[TrustedDocument]:
    """A page of documents."""
    page = Page(first, after, last, before, direction)
    return await load_listed_page(info, DOCUMENT_ORDER, page, page_documents, None, "created_at", count_documents)
