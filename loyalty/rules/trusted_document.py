"""Trusted documents of a tenant: the rules of registering them, and who may run no other documents."""

from collections.abc import Sequence
from typing import NamedTuple

from loyalty.rules.described_enum import DescribedEnum
from loyalty.rules.errors import Problem
from loyalty.rules.text import check_text

MAX_TRUSTED_DOCUMENTS = 2_000
"""The most documents that a tenant may register."""

MAX_TRUSTED_CHARACTERS = 8_388_608
"""The most characters of all documents of a tenant together."""

MAX_DOCUMENTS_AT_ONCE = 100
"""The most documents that one call registers or removes."""

DOCUMENT_NAME_MAX_LENGTH = 120


class DocumentRule(DescribedEnum):
    """Whom the tenant limits to trusted documents. More may come."""

    ANY = "ANY", "Everybody may run every document."
    CUSTOMERS = "CUSTOMERS", "Customers run trusted documents only."
    EVERYBODY = "EVERYBODY", "Everybody runs trusted documents only, except those who hold LOYALTY_MANAGE."


class DocumentPolicy(NamedTuple):
    """The document policy of a tenant: its rule, and the number of changes of its trusted documents so far.

    Version 0 means that the tenant has never registered any.
    """

    rule: DocumentRule = DocumentRule.ANY
    version: int = 0


NO_POLICY = DocumentPolicy()


class OfferedDocument(NamedTuple):
    """A document to register. The edge has checked that it is valid and computed its SHA-256."""

    sha256: str
    text: str
    name: str | None = None


def check_number(count: int, path: str) -> list[Problem]:
    """Return what is wrong with the number of documents in one call."""
    if 1 <= count <= MAX_DOCUMENTS_AT_ONCE:
        return []
    return [Problem((path,), f"must have 1 to {MAX_DOCUMENTS_AT_ONCE} entries")]


def check_offered(documents: Sequence[OfferedDocument]) -> list[Problem]:
    """Return what is wrong with documents to register; the API has checked their texts before."""
    problems = check_number(len(documents), "documents")
    for place, one in enumerate(documents):
        if one.name is not None:
            problem = check_text(one.name, ("documents", str(place), "name"), DOCUMENT_NAME_MAX_LENGTH)
            problems += [problem] if problem else []
    return problems
