"""GraphQL over HTTP: every body gets a clear JSON answer with the right status, and never a 500."""

import asyncio
import json
from typing import Any

import httpx2
import pytest

from schema.masking import RETRY_AFTER_SECONDS
from tests.api.conftest import RunningServer
from tests.api.small import SECRET
from tests.fixtures.live import GENEROUS_SECONDS, until

GRAPHQL = "application/graphql-response+json"
JSON = "application/json"
HEADERS = {"content-type": JSON, "accept": GRAPHQL}


def code_of(response: httpx2.Response) -> str:
    body = response.json()
    assert "data" not in body
    [error] = body["errors"]
    assert error["extensions"]["requestId"] == response.headers["x-request-id"]
    return str(error["extensions"]["code"])


async def post(client: httpx2.AsyncClient, content: bytes | str, **headers: str) -> httpx2.Response:
    return await client.post("/graphql", content=content, headers=HEADERS | headers)


async def run(client: httpx2.AsyncClient, query: str, **variables: object) -> httpx2.Response:
    return await client.post("/graphql", json={"query": query, "variables": variables}, headers=HEADERS)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (GRAPHQL, GRAPHQL),
        (JSON, JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        ("", JSON),
        (f"{JSON}, {GRAPHQL};q=0.5", JSON),
        (f"{JSON};q=0.5, {GRAPHQL}", GRAPHQL),
        (f"text/html, {JSON}", JSON),
    ],
)
async def test_answers_in_the_media_type_that_is_asked_for(
    client: httpx2.AsyncClient, accept: str, media_type: str
) -> None:
    response = await client.post("/graphql", json={"query": "{ whoami }"}, headers={"accept": accept})
    assert response.status_code == 200
    assert response.headers["content-type"].split(";")[0] == media_type
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {"data": {"whoami": "ada"}}


@pytest.mark.parametrize(
    "query",
    ["{", "{ nope }", "{ echo }", "{ echo(text: 5) }", "query ($t: String!) { echo(text: $t) }", "{ ...A }",
     "fragment A on Query { whoami }"],
)  # fmt: skip
@pytest.mark.parametrize(("accept", "status"), [(GRAPHQL, 400), (JSON, 200)])
async def test_an_operation_that_never_ran_has_no_data(
    client: httpx2.AsyncClient, query: str, accept: str, status: int
) -> None:
    response = await client.post("/graphql", json={"query": query}, headers={"accept": accept})
    assert code_of(response) == "BAD_USER_INPUT"
    assert response.status_code == (400 if query.startswith("fragment") else status)


async def test_an_operation_that_ran_and_failed_is_200_with_data(client: httpx2.AsyncClient) -> None:
    response = await run(client, "{ whoami denied broken }")
    assert response.status_code == 200
    body = response.json()
    assert body["data"] == {"whoami": "ada", "denied": None, "broken": None}
    assert [error["extensions"]["code"] for error in body["errors"]] == ["FORBIDDEN", "INTERNAL"]
    assert SECRET not in response.text


async def test_null_data_of_an_operation_that_ran_is_still_data(client: httpx2.AsyncClient) -> None:
    response = await run(client, "{ required }")
    assert response.status_code == 200
    assert response.json()["data"] is None


DEEP = 20_000
HOSTILE_BODIES: dict[str, bytes] = {
    "nothing": b"",
    "a number": b"5",
    "null": b"null",
    "true": b"true",
    "a text": b'"query"',
    "a list with a number": b"[5]",
    "an empty list": b"[]",
    "a batch": b'[{"query":"{ whoami }"},{"query":"{ whoami }"}]',
    "an empty object": b"{}",
    "5,000 digits": b'{"query":"{ whoami }","variables":' + b"9" * 5_000 + b"}",
    "5,000 digits alone": b"9" * 5_000,
    "invalid UTF-8": b'{"query":"{ echo(text: \\"\xff\xfe\\") }"}',
    "UTF-16": '{"query":"{ whoami }"}'.encode("utf-16"),
    "nested brackets": b"[" * DEEP + b"]" * DEEP,
    "open brackets": b"[" * DEEP,
    "nested objects": b'{"query":' * DEEP + b"5" + b"}" * DEEP,
    "nested variables": b'{"query":"{ whoami }","variables":{"a":' + b"[" * DEEP + b"]" * DEEP + b"}}",
    "NaN": b'{"query":"query ($v: Points!) { points(value: $v) }","variables":{"v":NaN}}',
    "Infinity": b'{"query":"{ whoami }","variables":{"v":-Infinity}}',
    "a NUL in a name": b'{"query":"{ whoami }","variables":{"a\\u0000":1}}',
    "a NUL in a name within": b'{"query":"{ whoami }","variables":{"a":[{"b\\u0000":1}]}}',
    "a lone surrogate in a name": b'{"query":"{ whoami }","variables":{"a\\udfff":1}}',
    "a NUL in the name of the operation": b'{"query":"{ whoami }","operationName":"\\u0000"}',
    "a NUL in an unknown field": b'{"query":"{ whoami }","a":"\\u0000"}',
    "a raw NUL": b'{"query":"{ whoami }\x00"}',
    "a NUL in the query": b'{"query":"{ whoami }\\u0000"}',
    "a NUL in a literal": b'{"query":"{ echo(text: \\"\\\\u0000\\") }"}',
    "a lone surrogate in the query": b'{"query":"{ echo(text: \\"\\ud800\\") }"}',
    "a surrogate in a literal": b'{"query":"{ echo(text: \\"\\\\ud800\\") }"}',
    "two values": b'{"query":"{ whoami }"}{"query":"{ whoami }"}',
    "a number as query": b'{"query":5}',
    "null as query": b'{"query":null}',
    "an empty query": b'{"query":""}',
    "a blank query": b'{"query":" "}',
    "only a comment": b'{"query":"# nothing"}',
    "a list as query": b'{"query":["{ whoami }"]}',
    "a list as variables": b'{"query":"{ whoami }","variables":[]}',
    "a text as variables": b'{"query":"{ whoami }","variables":"{}"}',
    "a number as operation name": b'{"query":"{ whoami }","operationName":5}',
    "an unknown operation name": b'{"query":"query A { whoami }","operationName":"B"}',
    "two operations and no name": b'{"query":"query A { whoami } query B { whoami }"}',
    "a list as extensions": b'{"query":"{ whoami }","extensions":[]}',
    "a persisted query": b'{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"abc"}}}',
    "a form": b"query={whoami}",
    "XML": b"<?xml version='1.0'?><query/>",
    "a subscription": b'{"query":"subscription { count(to: 1) }"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
}


@pytest.mark.parametrize("name", list(HOSTILE_BODIES))
async def test_hostile_bodies_are_refused_with_400(client: httpx2.AsyncClient, name: str) -> None:
    response = await post(client, HOSTILE_BODIES[name])
    assert response.status_code == 400
    assert code_of(response) == "BAD_USER_INPUT"
    assert response.headers["content-type"].startswith(GRAPHQL)
    assert len(response.content) < 1_000


async def test_hostile_bodies_leave_the_server_well(client: httpx2.AsyncClient) -> None:
    await asyncio.gather(*(post(client, body) for body in HOSTILE_BODIES.values()))
    assert (await run(client, "{ whoami }")).json() == {"data": {"whoami": "ada"}}


@pytest.mark.parametrize(
    "escaped",
    [
        rb"a\u0000b",
        rb"\ud800",
        rb"\uDFFF",
        rb"\ud800\ud83d\ude00",
        rb"\ud83d\ude00\ude00",
        rb"\\\ud800",
        rb"\ud800\\udc00",
        rb"\ud800x\udc00",
    ],
)
async def test_a_text_that_cannot_be_stored_is_refused_by_its_argument(
    client: httpx2.AsyncClient, escaped: bytes
) -> None:
    document = b'{"query":"query ($t: String!) { whoami echo(text: $t) }","variables":{"t":"%s"}}'
    response = await post(client, document % escaped)
    assert response.status_code == 200
    (error,) = response.json()["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["echo"], "BAD_USER_INPUT")
    assert [problem["path"] for problem in error["extensions"]["problems"]] == [["text"]]


@pytest.mark.parametrize(
    ("escaped", "meant"),
    [(rb"\ud83d\ude00", "😀"), (rb"\\ud800", r"\ud800"), (rb"\\u0000", r"\u0000"), (rb"\u000a", "\n")],
)
async def test_escapes_that_mean_a_text_pass(client: httpx2.AsyncClient, escaped: bytes, meant: str) -> None:
    document = b'{"query":"query ($t: String!) { echo(text: $t) }","variables":{"t":"%s"}}'
    assert (await post(client, document % escaped)).json() == {"data": {"echo": meant}}


async def test_an_escaped_backslash_before_u0000_is_an_ordinary_text(client: httpx2.AsyncClient) -> None:
    response = await run(client, "query ($t: String!) { echo(text: $t) }", t=r"a\u0000b")
    assert response.json() == {"data": {"echo": r"a\u0000b"}}


@pytest.mark.parametrize("text", ["", "ü", "日本", "🎉", "a" * 100_000, "\t\n", "\u2028", '"\\'])
async def test_ordinary_texts_pass_unchanged(client: httpx2.AsyncClient, text: str) -> None:
    response = await run(client, "query ($t: String!) { echo(text: $t) }", t=text)
    assert response.json() == {"data": {"echo": text}}


async def test_an_empty_operation_name_means_none(client: httpx2.AsyncClient) -> None:
    response = await client.post("/graphql", json={"query": "{ whoami }", "operationName": ""}, headers=HEADERS)
    assert response.json() == {"data": {"whoami": "ada"}}


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
async def test_only_post_is_allowed(client: httpx2.AsyncClient, method: str) -> None:
    response = await client.request(method, "/graphql?query={whoami}", headers={"accept": "text/html"})
    assert response.status_code == 405
    assert response.headers["allow"] == "POST"
    if method != "HEAD":
        assert code_of(response) == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/graphql"},
        {"content-type": "application/jsonx"},
        {"content-type": "application/json; charset=utf-16"},
        {"content-type": ""},
        {"content-type": JSON, "content-encoding": "gzip"},
    ],
)
async def test_other_media_types_are_refused_with_415(client: httpx2.AsyncClient, headers: dict[str, str]) -> None:
    response = await client.post("/graphql", content=b'{"query":"{ whoami }"}', headers={"accept": GRAPHQL} | headers)
    assert response.status_code == 415
    assert code_of(response) == "BAD_USER_INPUT"


@pytest.mark.parametrize("content_type", [JSON, "application/json; charset=utf-8", 'Application/JSON; Charset="UTF-8"'])
async def test_json_in_utf_8_is_accepted(client: httpx2.AsyncClient, content_type: str) -> None:
    response = await post(client, b'{"query":"{ whoami }"}', **{"content-type": content_type})
    assert response.status_code == 200


@pytest.mark.parametrize(
    "accept", ["text/html", "image/*", "application/json;q=0", "application/json;q=x", "x" * 5_000]
)
async def test_who_takes_none_of_our_media_types_gets_406(client: httpx2.AsyncClient, accept: str) -> None:
    response = await post(client, b'{"query":"{ whoami }"}', accept=accept)
    assert response.status_code == 406
    assert code_of(response) == "BAD_USER_INPUT"


MEBIBYTE = 1_048_576


def padded(size: int) -> bytes:
    body = b'{"query":"{ whoami }","extensions":{"pad":"%s"}}'
    return body.replace(b"%s", b"x" * (size - len(body) + 2))


async def test_a_body_of_one_mebibyte_is_accepted_and_one_byte_more_is_not(client: httpx2.AsyncClient) -> None:
    assert (await post(client, padded(MEBIBYTE))).status_code == 200
    response = await post(client, padded(MEBIBYTE + 1))
    assert response.status_code == 413
    assert code_of(response) == "BAD_USER_INPUT"


async def test_a_body_without_a_declared_length_is_counted_while_it_comes(client: httpx2.AsyncClient) -> None:
    async def chunks() -> Any:
        for _ in range(100):
            yield b"x" * 65_536

    response = await client.post("/graphql", content=chunks(), headers=HEADERS)
    assert response.status_code == 413


@pytest.mark.parametrize("length", ["-1", "1e3", "٣", "99999999999999999999"])
async def test_a_hostile_content_length_is_refused(server: RunningServer, length: str) -> None:
    head = (
        "POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ada\r\n"
        f"content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
    assert (await raw(server, head.encode())).split(b" ")[1] in {b"400", b"413"}


async def raw(server: RunningServer, data: bytes) -> bytes:
    """Return what the server answers to bytes as they are."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(data)
    answer = await asyncio.wait_for(reader.read(65_536), GENEROUS_SECONDS)
    writer.close()
    return answer


async def test_a_head_without_end_is_refused(server: RunningServer) -> None:
    answer = await raw(server, b"POST /graphql HTTP/1.1\r\nx: " + b"y" * 200_000)
    assert answer.startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    ("authorization", "challenge"),
    [
        (None, 'Bearer realm="treue"'),
        ("", 'Bearer realm="treue"'),
        ("Bearer wrong", 'Bearer realm="treue", error="invalid_token"'),
        ("Basic YWRhOmFkYQ==", 'Bearer realm="treue", error="invalid_token"'),
    ],
)
async def test_without_a_valid_credential_the_answer_is_401(
    server: RunningServer, authorization: str | None, challenge: str
) -> None:
    async with server.client(None) as client:
        headers = HEADERS if authorization is None else HEADERS | {"authorization": authorization}
        response = await client.post("/graphql", content=b'{"query":"{ whoami }"}', headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == challenge
    assert code_of(response) == "UNAUTHENTICATED"
    assert server.stage.requests == [], "no context is made for somebody unknown"


async def test_two_credentials_are_refused(server: RunningServer) -> None:
    async with server.client(None) as client:
        pairs = [("authorization", "Bearer ada"), ("authorization", "Bearer bob"), ("content-type", JSON)]
        response = await client.post("/graphql", content=b'{"query":"{ whoami }"}', headers=pairs)
    assert response.status_code == 401


async def test_a_database_that_is_away_is_503(server: RunningServer) -> None:
    async with server.client("away") as client:
        response = await run(client, "{ whoami }")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert code_of(response) == "UNAVAILABLE"
    assert SECRET not in response.text


async def test_a_bug_of_ours_is_500_and_tells_nothing(server: RunningServer) -> None:
    async with server.client("broken") as client:
        response = await run(client, "{ whoami }")
    assert response.status_code == 500
    assert code_of(response) == "INTERNAL"
    assert SECRET not in response.text


async def test_a_result_that_is_no_text_is_500(client: httpx2.AsyncClient) -> None:
    response = await run(client, "{ surrogate }")
    assert response.status_code == 500
    assert code_of(response) == "INTERNAL"


async def test_each_request_has_its_own_context_and_loaders(client: httpx2.AsyncClient, server: RunningServer) -> None:
    first = await run(client, "{ a: square(of: 2) b: square(of: 3) c: square(of: 2) }")
    second = await run(client, "{ a: square(of: 2) }")
    assert first.json()["data"] == {"a": 4, "b": 9, "c": 4}
    assert second.json()["data"] == {"a": 4}
    assert server.stage.batches == [[2, 3], [2]]
    assert len({request.request_id for request in server.stage.requests}) == 2


async def test_a_mutation_finishes_when_its_caller_goes_away(server: RunningServer) -> None:
    async with server.client() as client:
        asking = asyncio.create_task(client.post("/graphql", json={"query": "mutation { touch(seconds: 0.3) }"}))
        await until(lambda: server.stage.touching == 1)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    await until(lambda: server.stage.touched == 1)


@pytest.mark.parametrize("path", ["/", "/graphql/", "/graphiql", "/admin", "/%00", "/..%2f..%2fetc/passwd"])
async def test_other_addresses_are_404_as_json(client: httpx2.AsyncClient, path: str) -> None:
    response = await client.get(path, headers={"accept": "text/html"})
    assert response.status_code == 404
    assert code_of(response) == "BAD_USER_INPUT"


async def test_no_answer_is_html(client: httpx2.AsyncClient) -> None:
    """GraphiQL is off."""
    response = await client.get("/graphql", headers={"accept": "text/html,*/*"})
    assert "html" not in response.headers["content-type"]
    assert json.loads(response.content)["errors"]


async def test_every_unavailable_says_when_to_try_again(server: RunningServer, client: httpx2.AsyncClient) -> None:
    """Also in an answer with status 200, part of which could be read."""
    part = await client.post("/graphql", json={"query": "{ whoami away }"})
    assert part.status_code == 200
    assert part.json()["data"] == {"whoami": "ada", "away": None}
    (error,) = part.json()["errors"]
    assert error["extensions"]["retryAfterSeconds"] == RETRY_AFTER_SECONDS
    async with server.client("away") as stranger:
        refused = await stranger.post("/graphql", json={"query": "{ whoami }"})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, str(RETRY_AFTER_SECONDS))
    (error,) = refused.json()["errors"]
    assert error["extensions"]["retryAfterSeconds"] == RETRY_AFTER_SECONDS
