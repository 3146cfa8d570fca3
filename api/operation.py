"""One operation as it comes in: its JSON, checked by hand, and what the context of its run is made from."""

import enum
from collections.abc import Callable
from dataclasses import dataclass

import orjson
from strawberry.http import GraphQLRequestData, GraphQLRequestProtocol

from permissions.actor import Actor

_ESCAPED_NUL = (b"\\u0000", b"\x00")


class Transport(enum.StrEnum):
    """How an operation came in."""

    HTTP = "HTTP"
    SSE = "SSE"
    WEBSOCKET = "WEBSOCKET"


def _nothing_to_drop() -> None:
    """A query or mutation has no reader that could be slow."""


@dataclass(frozen=True, slots=True)
class OperationRequest:
    """From this the context of ONE operation is made, with its own loaders; never one per socket.

    `request_id` is different for each operation. `drop_slow_reader` ends the connection because the reader of a
    subscription cannot keep up: over a WebSocket with code 4290 and the advice to resume with `after`. It returns at
    once and may be called from anywhere in the event loop, more than once. `last_event_id` is the cursor after which
    the reader of an event stream wants to go on.
    """

    actor: Actor
    request_id: str
    transport: Transport
    drop_slow_reader: Callable[[], None] = _nothing_to_drop
    last_event_id: str | None = None


class MalformedOperation(Exception):
    """The JSON is no GraphQL request; the message says why and is safe to show."""


def decode_json(text: str | bytes) -> object:
    """Strict JSON: UTF-8, no NaN, no lone surrogate, no NUL, bounded nesting. Raises `MalformedOperation`."""
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    try:
        value: object = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise MalformedOperation("The body is not valid JSON in UTF-8.") from None
    if any(mark in raw for mark in _ESCAPED_NUL) and _holds_nul(value):
        raise MalformedOperation("Texts must not contain the NUL character.")
    return value


def _holds_nul(value: object) -> bool:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if "\x00" in item:
                return True
        elif isinstance(item, list):
            stack.extend(item)
        elif isinstance(item, dict):
            stack.extend(item.keys())
            stack.extend(item.values())
    return False


def read_operation(value: object, protocol: GraphQLRequestProtocol = "http") -> GraphQLRequestData:
    """The request that a decoded body means. Raises `MalformedOperation`; a list of requests is one, too."""
    if isinstance(value, list):
        raise MalformedOperation("Batches are not supported: send one operation per request.")
    if not isinstance(value, dict):
        raise MalformedOperation("The body must be a JSON object with a query.")
    query = value.get("query")
    if not isinstance(query, str) or not query:
        raise MalformedOperation("`query` must be a text that holds a GraphQL document.")
    variables = value.get("variables")
    if variables is not None and not isinstance(variables, dict):
        raise MalformedOperation("`variables` must be an object.")
    extensions = value.get("extensions")
    if extensions is not None and not isinstance(extensions, dict):
        raise MalformedOperation("`extensions` must be an object.")
    operation_name = value.get("operationName")
    if operation_name is not None and not isinstance(operation_name, str):
        raise MalformedOperation("`operationName` must be a text.")
    return GraphQLRequestData(
        query=query,
        variables=variables,
        operation_name=operation_name or None,
        extensions=None,
        protocol=protocol,
    )
