"""``trustedDocumentsRegister``: let clients run documents by their hash."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

import strawberry

from loyalty.rules.errors import Problem, refuse_problems
from loyalty.rules.trusted_document import OfferedDocument, check_number
from loyalty.services.trusted_document import register_documents
from permissions.catalog import Permission
from schema.context import Info
from schema.errors import answer_mutation
from schema.executable import ExecutableSchema
from schema.guard import guarded
from schema.mutations.payload import UserErrors, user_errors_field
from schema.persisted import SHA256_PREFIX, hash_of_text
from schema.types.node import show_rows
from schema.types.trusted_document import TrustedDocument


@strawberry.input(description="A document to register.")
class TrustedDocumentInput:
    text: str = strawberry.field(
        description="The document, exactly as clients would send it: its hash is made of this very text. It must be "
        "valid, and within the limits of documents."
    )
    document_id: str | None = strawberry.field(
        default=None,
        description="The SHA-256 that the client will send, 64 hexadecimal digits in lower case, with `sha256:` before "
        "it or without. It is compared with the text; null leaves that out.",
    )
    name: str | None = strawberry.field(
        default=None, description="What to call it, such as the name of its operation: at most 120 characters."
    )


@strawberry.input(description="Documents to register.")
class TrustedDocumentsRegisterInput:
    documents: list[TrustedDocumentInput] = strawberry.field(description="The documents: 1 to 100, all or none.")


@strawberry.type(description="The documents as they are kept.")
class TrustedDocumentsRegisterPayload:
    user_errors: UserErrors = user_errors_field()
    documents: list[TrustedDocument] | None = strawberry.field(
        default=None, description="The documents in the order of the input, those that were trusted already too."
    )
    added: int | None = strawberry.field(default=None, description="How many of the documents are new.")


@guarded(
    Permission.LOYALTY_MANAGE,
    description=(
        "Register documents, so that clients may run them by their hash, as `documentId` or as "
        "`extensions.persistedQuery`. A document that is registered already stays as it is, so a retry does no harm. A "
        "tenant may have 2,000 documents with 8,388,608 characters together."
    ),
    even_when_off=True,
)
async def trusted_documents_register(
    info: Info,
    input: Annotated[TrustedDocumentsRegisterInput, strawberry.argument(description="The documents.")],  # noqa: A002
) -> TrustedDocumentsRegisterPayload:
    """Register documents. Each is checked like a document that a client sends."""

    async def work() -> Mapping[str, Any]:
        context = info.context
        refuse_problems(check_number(len(input.documents), "documents"))
        schema = cast("ExecutableSchema", info.schema)
        offered = await check_documents(schema, input.documents, context.caller)
        registered = await register_documents(context.world, context.actor, offered)
        return {"documents": show_rows(TrustedDocument, registered.documents), "added": registered.added}

    return await answer_mutation(TrustedDocumentsRegisterPayload, work)


async def check_documents(
    schema: ExecutableSchema, documents: Sequence[TrustedDocumentInput], caller: tuple[Any, ...]
) -> list[OfferedDocument]:
    """The documents with their hashes. Refusal: InvalidInput, for each that may not run and each with another hash."""
    offered, problems = [], []
    for place, given in enumerate(documents):
        path = ("documents", str(place))
        sha256 = hash_of_text(given.text)
        prepared = await schema.documents.prepare_in_turn(given.text, caller)
        if prepared.document is None or prepared.errors:
            problems.append(Problem((*path, "text"), f"may not run: {prepared.errors[0].message}"))
        if given.document_id is not None and given.document_id.removeprefix(SHA256_PREFIX) != sha256:
            problems.append(Problem((*path, "document_id"), f"must be the SHA-256 of the text, {sha256}"))
        offered.append(OfferedDocument(sha256, given.text, given.name))
    refuse_problems(problems)
    return offered
