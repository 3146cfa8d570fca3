"""Accept and Content-Type, as the specifications read them."""

import pytest

from api.negotiation import is_json, negotiate

GRAPHQL = "application/graphql-response+json"
JSON = "application/json"
EVENTS = "text/event-stream"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, JSON),
        ("", JSON),
        ("  ", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (f"{GRAPHQL}, */*;q=0.1", GRAPHQL),
        (JSON, JSON),
        (GRAPHQL, GRAPHQL),
        (EVENTS, EVENTS),
        ("text/*", EVENTS),
        ("APPLICATION/JSON", JSON),
        (f"{JSON}; charset=utf-8", JSON),
        (f"{GRAPHQL}, {JSON}", GRAPHQL),
        (f"{JSON}, {GRAPHQL}", JSON),
        (f"{JSON};q=0.9, {GRAPHQL}", GRAPHQL),
        (f"{JSON};q=0.9, {EVENTS};q=0.95", EVENTS),
        (f"text/html, {JSON};q=0.1", JSON),
        (f"text/html, */*;q=0.1, {JSON};q=0", JSON),
        (f"{JSON};q=0", None),
        (f"{JSON};q=nan", None),
        (f"{JSON};q=inf", None),
        (f"{JSON};q=-1", None),
        (f"{JSON};q=2", None),
        (f"{JSON};q=１", None),
        ("text/html", None),
        ("application", None),
        (";;;,,,", None),
        ("/", None),
        ("," * 100_000 + JSON, None),
    ],
)
def test_the_best_liked_of_ours_is_chosen(accept: str | None, expected: str | None) -> None:
    assert negotiate(accept) == expected


@pytest.mark.parametrize(
    ("content_type", "encoding", "expected"),
    [
        (JSON, None, True),
        (JSON, "identity", True),
        ("application/json;charset=utf-8", None, True),
        ('application/json; charset="UTF-8"', None, True),
        (JSON, "gzip", False),
        (JSON, "br", False),
        ("application/json; charset=latin-1", None, False),
        ("application/json; charset=utf-7", None, False),
        (None, None, False),
        ("", None, False),
        (GRAPHQL, None, False),
        ("text/plain; application/json", None, False),
        ("application/jsonp", None, False),
    ],
)
def test_only_plain_json_in_utf_8_is_json(content_type: str | None, encoding: str | None, expected: bool) -> None:  # noqa: FBT001
    assert is_json(content_type, encoding) == expected
