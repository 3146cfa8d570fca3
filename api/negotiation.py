"""Choose the media type of an answer by the Accept header (RFC 9110, section 12.5.1, and GraphQL over HTTP)."""

import re

from api.errors import GRAPHQL_JSON, JSON

EVENT_STREAM = "text/event-stream"
MAX_ACCEPT_LENGTH = 1_000

_OFFERED = (GRAPHQL_JSON, JSON, EVENT_STREAM)
_RANGES = {"*/*": JSON, "application/*": JSON, "text/*": EVENT_STREAM} | {
    media_type: media_type for media_type in _OFFERED
}
_QUALITY = re.compile(r"(?:0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)", re.ASCII)


def negotiate(accept: str | None) -> str | None:
    """Return the media type that the caller prefers; None if the caller accepts none that this service writes.

    If the caller likes several equally, the first one is returned. Without a preference it is `application/json`, which
    every HTTP client knows.
    """
    if accept is None or not accept.strip():
        return JSON
    best: str | None = None
    best_quality = 0.0
    for part in accept[:MAX_ACCEPT_LENGTH].split(","):
        media_range, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = _quality(parameters)
        if media_range in _RANGES and quality > best_quality:
            best, best_quality = _RANGES[media_range], quality
    return best


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return float(value.strip()) if _QUALITY.fullmatch(value.strip()) else 0.0
    return 1.0


def is_json(content_type: str | None, content_encoding: str | None) -> bool:
    """Whether a body says that it is JSON in UTF-8, not compressed."""
    if content_type is None or (content_encoding or "identity").strip().lower() != "identity":
        return False
    media_type, *parameters = (piece.strip().lower() for piece in content_type.split(";"))
    charsets = [parameter.removeprefix("charset=").strip('"') for parameter in parameters if "charset=" in parameter]
    return media_type == JSON and all(charset in {"utf-8", "utf8"} for charset in charsets)
