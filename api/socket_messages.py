"""Check the shape of graphql-transport-ws messages before any code reads them."""

MAX_ID_LENGTH = 128
"""The number of characters of an operation's id."""

_TYPES = frozenset({"connection_init", "ping", "pong", "subscribe", "complete"})
_TYPES_WITH_ID = frozenset({"subscribe", "complete"})


def find_problem(message: object) -> str | None:
    """Return what is wrong with the shape of a message, in words that repeat nothing of the message."""
    if not isinstance(message, dict):
        return "A message must be a JSON object"
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in _TYPES:
        return "Unknown message type"
    if kind in _TYPES_WITH_ID:
        operation_id = message.get("id")
        if not isinstance(operation_id, str) or not 1 <= len(operation_id) <= MAX_ID_LENGTH:
            return f"The id must be a text of 1 to {MAX_ID_LENGTH} characters"
    payload = message.get("payload")
    if not isinstance(payload, dict) and (payload is not None or kind == "subscribe"):
        return "The payload must be a JSON object"
    return None
