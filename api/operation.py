"""Read one operation of a request: check its JSON by hand, and collect the values for the context of its run."""

import enum
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

import orjson
from strawberry.http import GraphQLRequestData, GraphQLRequestProtocol

from permissions.actor import Actor
from schema.channels import SendNow
from schema.persisted import ASKED, DOCUMENT_ID, PERSISTED_QUERY, SHA256_PREFIX, AskedDocument

NAMED_KEY_MAX_BYTES = 65_536
"""The refusal of a repeated key names the key only if the body is at most this long: finding the key takes time."""

KEY_MAX_LENGTH = 100
"""The number of characters of a key that a refusal shows."""

PERSISTED_QUERY_VERSION = 1
"""The only version of `extensions.persistedQuery` that exists."""

VARIABLES = "variables"
"""The field of a request that holds the values of its variables."""

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_FIELDS = frozenset({"query", "operationName", VARIABLES, "extensions", "documentId"})
_JSON_FIELDS = frozenset({VARIABLES, "extensions"})
_NUL = rb"\u0000"
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
"""Matches an escape in a JSON text. Its group is set for one half of a surrogate pair without the other half."""
_ESCAPED_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_ESCAPED_COLON = re.compile(rb"(?<!\\)(?:\\\\)*\\u003[aA]")


class Transport(enum.StrEnum):
    """The way by which an operation came."""

    HTTP = "HTTP"
    SSE = "SSE"
    WEBSOCKET = "WEBSOCKET"


def _nothing_to_drop() -> None:
    """Do nothing: a query or mutation has no reader that could be slow."""


@dataclass(frozen=True, slots=True)
class OperationRequest:
    """The values for the context of ONE operation, which gets its own loaders.

    A socket has no context for all operations. `request_id` is different for each operation. `drop_slow_reader` ends
    the connection when the reader of a subscription cannot keep up: over a WebSocket with code 4290 and the advice to
    resume with `after`. It returns at once, and may be called more than once and from everywhere in the event loop.
    `last_event_id` is the cursor after which the reader of an event stream resumes. `send_now` sends the payload of an
    event at once, if the transport can do that.
    """

    actor: Actor
    request_id: str
    transport: Transport
    drop_slow_reader: Callable[[], None] = _nothing_to_drop
    last_event_id: str | None = None
    send_now: SendNow | None = None


class MalformedOperation(Exception):
    """The JSON is not a GraphQL request. The message says why, and may be shown to the caller."""


def decode_json(text: str | bytes, *, of_variables: bool = False) -> object:
    """Decode strict JSON: UTF-8, no NaN, no lone surrogate, no NUL, no repeated key, limited nesting.

    Only a value of the variables may hold NUL or a lone surrogate, which is read as NUL. Later the field with that
    value is refused, or the item of a batch, and not the whole request. With ``of_variables`` the text holds only the
    variables. Raises `MalformedOperation`.
    """
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    try:
        value: object = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raw = _replace_lone_surrogates(raw)
        try:
            value = orjson.loads(raw)
        except orjson.JSONDecodeError:
            raise MalformedOperation("The body is not valid JSON in UTF-8.") from None
    try:
        written_anew = orjson.dumps(value)
    except orjson.JSONEncodeError:  # it reads deeper than it writes
        raise MalformedOperation("The body is nested too deeply.") from None
    if _NUL in raw and _ESCAPED_NUL.search(written_anew):
        _refuse_nul_outside_of_variables({VARIABLES: value} if of_variables else value)
    if _count_colons(raw) != _count_colons(written_anew):
        raise MalformedOperation(_say_which_key_is_there_twice(raw))
    return value


def _replace_lone_surrogates(raw: bytes) -> bytes:
    """Replace each escape of half a surrogate pair by NUL: it is no character (RFC 8259, 8.2)."""
    return _ESCAPE.sub(lambda found: _NUL if found[1] else found[0], raw)


def _refuse_nul_outside_of_variables(value: object) -> None:
    """Raise `MalformedOperation` for a NUL in the document or in a name. Values of the variables may hold NUL."""
    if _ESCAPED_NUL.search(orjson.dumps(_leave_out_values(value))):
        raise MalformedOperation("Texts must not contain the NUL character or half of a surrogate pair.")


def _leave_out_values(value: object) -> object:
    """Return a request whose variables are replaced by their names. The request may be the payload of a message."""
    if not isinstance(value, dict):
        return value
    return {
        name: _list_names(within) if name == VARIABLES else _leave_out_values(within) if name == "payload" else within
        for name, within in value.items()
    }


def _list_names(variables: object) -> list[str]:
    """Return the names in all objects of the variables, at every depth."""
    names: list[str] = []
    waiting = [variables]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            names.extend(value)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return names


def _count_colons(raw: bytes) -> int:
    """Count the colons of a JSON text, with the colons inside texts and the escaped ones.

    If a key is repeated, only its last value is read. Then the text written again has fewer colons than the text that
    was sent; otherwise both have equally many.
    """
    escaped = len(_ESCAPED_COLON.findall(raw)) if b"\\u003" in raw else 0
    return raw.count(b":") + escaped


def _say_which_key_is_there_twice(raw: bytes) -> str:
    """Return the refusal of a repeated key. It names the key unless finding it would take long."""
    if len(raw) > NAMED_KEY_MAX_BYTES:
        return "The body has a key twice in one object."
    try:
        json.loads(raw, object_pairs_hook=_refuse_repeated_keys)
    except MalformedOperation as malformed:
        return str(malformed)
    except RecursionError:
        pass
    return "The body has a key twice in one object."


def _refuse_repeated_keys(pairs: list[tuple[str, object]]) -> None:
    seen = set()
    for key, _ in pairs:
        if key in seen:
            raise MalformedOperation(f"The key `{key[:KEY_MAX_LENGTH]}` is twice in one object of the body.")
        seen.add(key)


def read_operation(value: object, protocol: GraphQLRequestProtocol = "http") -> GraphQLRequestData:
    """Read the request in a decoded body. Raises `MalformedOperation`, also for a list of requests.

    A request holds the text of a document, or its hash in the extensions (`ASKED`), or both.
    """
    if isinstance(value, list):
        raise MalformedOperation("Batches are not supported: send one operation per request.")
    if not isinstance(value, dict):
        raise MalformedOperation("The body must be a JSON object with a query.")
    query = value.get("query")
    extensions = value.get("extensions")
    if extensions is not None and not isinstance(extensions, dict):
        raise MalformedOperation("`extensions` must be an object.")
    asked = _read_asked(value.get("documentId"), (extensions or {}).get("persistedQuery"))
    is_left_out = query is None and asked is not None
    if not is_left_out and (not isinstance(query, str) or not query):
        raise MalformedOperation("`query` must be a text that holds a GraphQL document.")
    variables = value.get("variables")
    if variables is not None and not isinstance(variables, dict):
        raise MalformedOperation("`variables` must be an object.")
    operation_name = value.get("operationName")
    if operation_name is not None and not isinstance(operation_name, str):
        raise MalformedOperation("`operationName` must be a text.")
    return GraphQLRequestData(
        query=query,
        variables=variables,
        operation_name=operation_name or None,
        extensions=None if asked is None else {ASKED: asked},
        protocol=protocol,
    )


def _read_asked(document_id: object, persisted_query: object) -> AskedDocument | None:
    """Return the document that a request names by its hash; None if it names none."""
    by_id = None if document_id is None else AskedDocument(_read_document_id(document_id), DOCUMENT_ID)
    if persisted_query is None:
        return by_id
    by_hash = AskedDocument(_read_persisted_query(persisted_query), PERSISTED_QUERY)
    if by_id is not None and by_id.sha256 != by_hash.sha256:
        raise MalformedOperation(f"`{DOCUMENT_ID}` and `{PERSISTED_QUERY}` name different documents.")
    return by_hash


def _read_document_id(value: object) -> str:
    digits = value.removeprefix(SHA256_PREFIX) if isinstance(value, str) else ""
    if not _SHA256.fullmatch(digits):
        raise MalformedOperation(
            f"`{DOCUMENT_ID}` must be `{SHA256_PREFIX}` with the SHA-256 of the document, 64 hexadecimal digits in "
            "lower case."
        )
    return digits


def _read_persisted_query(value: object) -> str:
    """Return the hash in `extensions.persistedQuery`. Raises `MalformedOperation`."""
    if not isinstance(value, dict):
        raise MalformedOperation(f"`{PERSISTED_QUERY}` must be an object.")
    version = value.get("version")
    if type(version) is not int or version != PERSISTED_QUERY_VERSION:
        raise MalformedOperation(f"`{PERSISTED_QUERY}.version` must be {PERSISTED_QUERY_VERSION}.")
    digits = value.get("sha256Hash")
    if not isinstance(digits, str) or not _SHA256.fullmatch(digits):
        raise MalformedOperation(
            f"`{PERSISTED_QUERY}.sha256Hash` must be the SHA-256 of the document, 64 hexadecimal digits in lower case."
        )
    return digits


def read_query_string(query_string: bytes) -> dict[str, object]:
    """Read a GET request: return its query string as a body. `variables` and `extensions` are JSON texts in it.

    Parameters that do not belong to a GraphQL request are left out, as in a body. Raises `MalformedOperation`.
    """
    try:
        fields = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise MalformedOperation("The address is not percent-encoded UTF-8.") from None
    value: dict[str, object] = {}
    for name, text in fields:
        if name not in _FIELDS:
            continue
        if name in value:
            raise MalformedOperation(f"`{name}` is twice in the address.")
        if "\x00" in text:
            raise MalformedOperation("Texts must not contain the NUL character.")
        value[name] = _decode_field(name, text) if name in _JSON_FIELDS else text
    return value


def _decode_field(name: str, text: str) -> object:
    try:
        return decode_json(text, of_variables=name == VARIABLES)
    except MalformedOperation as malformed:
        raise MalformedOperation(f"`{name}` in the address: {malformed}") from None
