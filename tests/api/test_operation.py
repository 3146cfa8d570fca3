"""A body is strict JSON: nothing of it may be dropped in silence, so no key may be twice in one object."""

import json
import random
from typing import Any

import httpx2
import orjson
import pytest

from api.operation import NAMED_KEY_MAX_BYTES, MalformedOperation, decode_json
from tests.api.conftest import RunningServer, close_of

TWICE: dict[str, tuple[str, str]] = {
    "at the top": ('{"query":"{ whoami }","query":"{ broken }"}', "query"),
    "with the same value": ('{"query":"{ whoami }","query":"{ whoami }"}', "query"),
    "in variables": ('{"query":"{ whoami }","variables":{"points":5,"points":500}}', "points"),
    "in a list": ('{"query":"{ whoami }","variables":{"a":[1,{"b":{},"c":[],"b":null}]}}', "b"),
    "escaped": (r'{"query":"{ whoami }","variables":{"points":5,"\u0070oints":500}}', "points"),
    "with blanks": ('{"query":"{ whoami }", "a" :1 ,\n"a"\t:\r2}', "a"),
    "with colons in texts": (r'{"query":"{ whoami }","a:\u003a":"\":\\:","a\u003A:":"\\u003a"}', "a::"),
    "an empty key": ('{"query":"{ whoami }","":1,"":2}', ""),
    "an object that is dropped": (r'{"query":"{ whoami }","a":{"b":"\u003a\\\u003a"},"a":1}', "a"),
}
ONCE = [
    '{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}',
    '{"a":1,"A":2,"\u00e4":3,"a\u0308":4}',
    r'{"a":"\"a\":1,\"a\":2","b":"{\"x\":1,\"x\":2}"}',
    r'{"a":"\u003a","b":"\\u003a","c":"\\\u003A","d":":::","e:":1}',
    r'{"a":1e99,"b":-0.0,"c":123456789012345678901234567890}',
    '{"a": "x\\\\", "b": ":"}',
]


@pytest.mark.parametrize("name", list(TWICE))
def test_a_key_that_is_twice_in_one_object_is_refused_by_its_name(name: str) -> None:
    body, key = TWICE[name]
    with pytest.raises(MalformedOperation, match="twice in one object") as refused:
        decode_json(body)
    assert f"`{key}`" in str(refused.value)


@pytest.mark.parametrize("body", ONCE)
def test_the_same_key_in_different_objects_is_no_key_twice(body: str) -> None:
    assert decode_json(body) == orjson.loads(body)


def test_a_large_body_is_refused_too_without_the_name() -> None:
    body = '{"query":"{ whoami }","a":1,"a":2,"filling":"' + "x" * NAMED_KEY_MAX_BYTES + '"}'
    with pytest.raises(MalformedOperation, match="a key twice"):
        decode_json(body)


def test_nesting_that_cannot_be_written_anew_is_refused() -> None:
    with pytest.raises(MalformedOperation, match="nested too deeply"):
        decode_json('{"a":' * 600 + "1" + "}" * 600)


def test_decides_as_a_plain_reader_of_pairs_does() -> None:
    """Against random texts, with the escapes and colons that counting has to see through."""
    rng = random.Random(5)  # noqa: S311 - the same texts in every run
    seen = {True: 0, False: 0}
    for _ in range(5_000):
        text = _random_object(rng, 3)
        try:
            decode_json(text)
        except MalformedOperation:
            accepted = False
        else:
            accepted = True
        assert accepted is _has_each_key_once(text), text
        seen[accepted] += 1
    assert min(seen.values()) > 500, seen


def _random_object(rng: random.Random, depth: int) -> str:
    pairs = [f"{_random_text(rng)}{rng.choice(('', ' '))}:{_random_value(rng, depth)}" for _ in range(rng.randrange(4))]
    return "{" + ",".join(pairs) + "}"


def _random_value(rng: random.Random, depth: int) -> str:
    if depth and rng.random() < 0.5:
        return _random_object(rng, depth - 1) if rng.random() < 0.7 else f"[{_random_object(rng, depth - 1)}]"
    return rng.choice(("1", "null", _random_text(rng)))


def _random_text(rng: random.Random) -> str:
    parts = (":", r"\u003a", r"\u003A", r"\\", r"\"", "u003a", "a", r"\u0061", ",", "{")
    return '"' + "".join(rng.choice(parts) for _ in range(rng.randrange(3))) + '"'


def _has_each_key_once(text: str) -> bool:
    """Tell whether no object in a JSON text has a key twice."""
    once = True

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal once
        once = once and len({key for key, _ in pairs}) == len(pairs)

    json.loads(text, object_pairs_hook=look)
    return once


async def test_over_http_nothing_runs_and_the_key_is_named(client: httpx2.AsyncClient, server: RunningServer) -> None:
    body = '{"query":"mutation { touch }","variables":{"points":5,"points":500}}'
    response = await client.post("/graphql", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["message"] == "The key `points` is twice in one object of the body."
    assert server.stage.touched == 0


async def test_over_a_websocket_the_socket_closes_as_for_any_text_that_is_no_json(server: RunningServer) -> None:
    async with server.socket() as socket:
        await socket.send('{"id":"1","type":"subscribe","payload":{"query":"{ whoami }"},"id":"2"}')
        code, reason = await close_of(socket)
    assert code == 4400
    assert reason
