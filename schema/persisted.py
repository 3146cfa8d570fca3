"""Documents that a client names by their hash, with or without the text.

`extensions.persistedQuery` is what Apollo's clients send (automatic persisted queries): first only the hash, and then
the text if the server does not know the hash. So the messages and codes of these two errors are Apollo's. `documentId`
is the name of a document in the appendix "Persisted Documents" of GraphQL over HTTP; its client does not send the text
later.
"""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from graphql import GraphQLError
from strawberry.types import ExecutionContext

from schema.masking import ErrorCode, refusal

ASKED = "askedDocument"
"""The key under which strawberry's extensions of an operation hold the `AskedDocument`."""

PERSISTED_QUERY = "extensions.persistedQuery"
DOCUMENT_ID = "documentId"

SHA256_PREFIX = "sha256:"
"""The beginning of a `documentId` that is a SHA-256. The 64 digits without it have the same meaning."""

HASH_MISMATCH = "HASH_MISMATCH"
"""`extensions.reason` of the error for a text that was sent with the hash of another text."""

DOCUMENT_NOT_FOUND = "DOCUMENT_NOT_FOUND"
"""`extensions.reason` of the error for a `documentId` that is not known."""

DOCUMENT_NOT_TRUSTED = "DOCUMENT_NOT_TRUSTED"
"""`extensions.reason` of the error for a document that the tenant does not trust."""

DOCUMENT_OUTDATED = "DOCUMENT_OUTDATED"
"""`extensions.reason` of the error for a trusted document that does not fit the API any more."""


class AskedDocument(NamedTuple):
    """The document that a request names: its SHA-256 in hexadecimal digits, and the field that named it."""

    sha256: str
    field: str


def hash_of_text(text: str) -> str:
    """Return the SHA-256 of a document in UTF-8, in lower case hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def refuse_unsupported(asked: AskedDocument) -> GraphQLError:
    """Return the error if documents cannot be named by their hash. Apollo's clients then send only texts."""
    if asked.field == PERSISTED_QUERY:
        return refusal(ErrorCode.PERSISTED_QUERY_NOT_SUPPORTED, "PersistedQueryNotSupported")
    return refusal(ErrorCode.BAD_USER_INPUT, "This API knows no documents by their hash: send `query`.")


def refuse_unknown(asked: AskedDocument) -> GraphQLError:
    """Return the error for an unknown hash. Apollo's clients then send the hash with the text."""
    if asked.field == PERSISTED_QUERY:
        return refusal(ErrorCode.PERSISTED_QUERY_NOT_FOUND, "PersistedQueryNotFound")
    return refusal(
        ErrorCode.BAD_USER_INPUT,
        f"There is no document with the `documentId` {asked.sha256}.",
        reason=DOCUMENT_NOT_FOUND,
    )


def refuse_untrusted(asked: AskedDocument | None) -> GraphQLError:
    """Return the error for a document that the tenant does not trust, if the caller may run only trusted ones."""
    named = "The document" if asked is None else f"The document {asked.sha256}"
    return refusal(
        ErrorCode.FORBIDDEN,
        f"{named} is none of those that this tenant trusts, and it lets you run no others. Register it with "
        "`trustedDocumentsRegister`, or send it exactly as it was registered.",
        reason=DOCUMENT_NOT_TRUSTED,
    )


def refuse_outdated(errors: Sequence[GraphQLError], sha256: str) -> GraphQLError:
    """Return the error for a trusted document that no longer fits the API."""
    why = errors[0].message if errors else "it cannot be read."
    return refusal(
        ErrorCode.BAD_USER_INPUT,
        f"The trusted document {sha256} does not fit the API any more: {why}",
        reason=DOCUMENT_OUTDATED,
    )


def refuse_mismatch(asked: AskedDocument) -> GraphQLError:
    """Return the error for a text that was sent with the hash of another text."""
    return refusal(
        ErrorCode.BAD_USER_INPUT,
        f"`query` has another SHA-256 than `{asked.field}` says: make the hash of the very text that you send.",
        reason=HASH_MISMATCH,
    )


def _read_asked(context: ExecutionContext) -> AskedDocument | None:
    """Return the document that the client names by its hash; None if the client sent only a text."""
    asked: AskedDocument | None = (context.operation_extensions or {}).get(ASKED)
    return asked


async def find_document(context: ExecutionContext) -> GraphQLError | None:
    """Find the text of a document that the client names by its hash, and check that the client may run it.

    Returns the error if the client may not, or if the text is not known.
    """
    asked = _read_asked(context)
    find_text = getattr(context.context, "find_text", None)
    if find_text is None:
        return None if asked is None else refuse_unsupported(asked)
    if asked is None and not context.query:
        return None
    found: str | GraphQLError = await find_text(asked, context.query)
    if isinstance(found, GraphQLError):
        return found
    context.query = found
    return None


def keep_document(context: ExecutionContext) -> None:
    """Keep a document that may run, if the client named it by its hash."""
    asked = _read_asked(context)
    if asked is not None:
        context.context.keep_text(asked, context.query)


def explain_errors(context: ExecutionContext, errors: list[GraphQLError]) -> list[GraphQLError]:
    """Return the errors of a document that must not run. For a trusted document the error says that it is outdated."""
    trusted = getattr(context.context, "trusted_sha256", None)
    return errors if trusted is None else [refuse_outdated(errors, trusted)]
