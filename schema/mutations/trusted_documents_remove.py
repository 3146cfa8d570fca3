"""``trustedDocumentsRemove``: remove trusted documents."""

from collections.abc import Mapping
from typing import Annotated, Any

import strawberry

from loyalty.services.trusted_document import remove_documents
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.persisted import SHA256_PREFIX


@strawberry.input(description="Documents to take away.")
class TrustedDocumentsRemoveInput:
    document_ids: list[str] = strawberry.field(
        description="Their `documentId`, with `sha256:` or without: 1 to 100, all or none."
    )


@strawberry.type(description="How many documents are trusted no more.")
class TrustedDocumentsRemovePayload:
    user_errors: UserErrors = user_errors_field()
    removed: int | None = strawberry.field(default=None, description="How many were taken away.")


@guarded(
    Permission.LOYALTY_MANAGE,
    description="Take trusted documents away. From the next request on clients cannot run them by their hash any more.",
    even_when_off=True,
)
async def trusted_documents_remove(
    info: Info,
    input: Annotated[TrustedDocumentsRemoveInput, strawberry.argument(description="The documents.")],  # noqa: A002
) -> TrustedDocumentsRemovePayload:
    """Remove documents. If one of them does not exist, none is removed."""

    async def work() -> Mapping[str, Any]:
        hashes = [one.removeprefix(SHA256_PREFIX) for one in input.document_ids]
        return {"removed": await remove_documents(info.context.world, info.context.actor, hashes)}

    return await answer_mutation(TrustedDocumentsRemovePayload, work)
