"""Read manifests of documents in the formats of the tools of clients.

Apollo's tools (`@apollo/generate-persisted-query-manifest`, Apollo Kotlin and iOS) write an object with `format` and
`operations`. Relay (`persistConfig.file`) and graphql-codegen (`persistedDocuments`) write an object from hash to text.
"""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from loyalty.rules.trusted_document import OfferedDocument
from runtime.problems import SetupProblem
from schema.persisted import SHA256_PREFIX, hash_of_text

APOLLO_FORMAT = "apollo-persisted-query-manifest"
APOLLO_VERSION = 1
SHOWN_HASH_LENGTH = 80
_OPERATION_NAME = re.compile(r"\b(?:query|mutation|subscription)\s+([A-Za-z_][A-Za-z0-9_]*)", re.ASCII)


def read_manifest(content: bytes) -> list[OfferedDocument]:
    """Return the documents of a manifest, each once. Raises SetupProblem, which names the wrong entry."""
    try:
        manifest = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise SetupProblem("The manifest is not JSON.") from None
    if not isinstance(manifest, dict) or not manifest:
        raise SetupProblem("The manifest must be a JSON object with documents.")
    offered = _read_apollo(manifest) if "format" in manifest else _read_pairs(manifest)
    return list({one.sha256: one for one in offered}.values())


def _read_apollo(manifest: Mapping[str, Any]) -> list[OfferedDocument]:
    """Return the documents of a manifest in the format of Apollo's tools. Raises SetupProblem."""
    if (manifest["format"], manifest.get("version")) != (APOLLO_FORMAT, APOLLO_VERSION):
        raise SetupProblem(f"The manifest must have the format {APOLLO_FORMAT} and the version {APOLLO_VERSION}.")
    operations = manifest.get("operations")
    if not isinstance(operations, list) or not all(isinstance(one, dict) for one in operations):
        raise SetupProblem("`operations` of the manifest must be a list of objects.")
    return [_offer(one.get("id"), one.get("body"), one.get("name")) for one in operations]


def _read_pairs(manifest: Mapping[str, Any]) -> list[OfferedDocument]:
    """Return the documents of an object from hash to text. Raises SetupProblem."""
    return [_offer(sha256, text, None) for sha256, text in manifest.items()]


def _offer(named: object, text: object, name: object) -> OfferedDocument:
    """Return the document of an entry: ``named`` is the hash in the manifest.

    Raises SetupProblem if the entry has no text, or another hash than its text.
    """
    shown = str(named)[:SHOWN_HASH_LENGTH]
    if not isinstance(text, str) or not isinstance(named, str):
        raise SetupProblem(f"The entry {shown} of the manifest has no text.")
    sha256 = hash_of_text(text)
    if named.removeprefix(SHA256_PREFIX) != sha256:
        raise SetupProblem(
            f"The entry {shown} of the manifest is not named by the SHA-256 of its text, {sha256}. Set "
            '`persistConfig.algorithm: "SHA256"` in Relay, or `persistedDocuments.hashAlgorithm: "sha256"` in '
            "graphql-codegen, and let clients send that hash."
        )
    return OfferedDocument(sha256, text, name if isinstance(name, str) else _find_name(text))


def _find_name(text: str) -> str | None:
    """Return the name of the first operation in a text; None if it has no name."""
    found = _OPERATION_NAME.search(text)
    return found[1] if found else None
