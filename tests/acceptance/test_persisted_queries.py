"""Automatic persisted queries as Apollo's clients send them: the hash alone, then the hash with the text."""

from collections.abc import AsyncIterator
from urllib.parse import urlencode

import httpx2
import orjson
import pytest

from api.errors import GRAPHQL_JSON, JSON
from tests.acceptance.business import Business
from tests.acceptance.client import GENEROUS_SECONDS, NO_TLS, Caller, Json
from tests.acceptance.sockets import open_socket, receive, send
from tests.fixtures.documents import by_hash, sha256
from tests.fixtures.server import Installation, ServerProcess

VIEWER = "query Viewer { viewer { name } }"
NAMED = "query Find($id: String!) { customer(by: {externalId: $id}) { externalId } }"
NOT_FOUND = ("PersistedQueryNotFound", "PERSISTED_QUERY_NOT_FOUND")
NOT_SUPPORTED = ("PersistedQueryNotSupported", "PERSISTED_QUERY_NOT_SUPPORTED")


@pytest.fixture(scope="module")
async def without(installation: Installation) -> AsyncIterator[ServerProcess]:
    """Provide a server on which clients cannot name documents by their hash."""
    async with installation.serve_apart("without-queries", {"TREUE_PERSISTED_QUERIES": "false"}) as running:
        yield running


@pytest.fixture(autouse=True)
async def anna(salon: Business) -> None:
    """Create a customer to ask for."""
    await salon.manager.do("customerUpsert", "customer { id }", externalId="anna", fullName="Anna")


async def post(caller: Caller, accept: str = JSON, **body: object) -> tuple[httpx2.Response, Json]:
    response = await caller.post(orjson.dumps(body), accept)
    return response, orjson.loads(response.content)


async def get(caller: Caller, accept: str = JSON, **fields: object) -> tuple[httpx2.Response, Json]:
    sent = {name: value if isinstance(value, str) else orjson.dumps(value).decode() for name, value in fields.items()}
    headers = {**caller.headers, "Accept": accept}
    async with httpx2.AsyncClient(timeout=GENEROUS_SECONDS, verify=NO_TLS) as http:
        response = await http.get(f"{caller.server.url}?{urlencode(sent)}", headers=headers)
    return response, orjson.loads(response.content)


def error_of(body: Json) -> tuple[str, str]:
    assert "data" not in body
    (error,) = body["errors"]
    return error["message"], error["extensions"]["code"]


@pytest.mark.parametrize("accept", [JSON, GRAPHQL_JSON])
async def test_a_client_sends_the_hash_then_both_then_the_hash_alone(salon: Business, accept: str) -> None:
    text, variables = f"{NAMED} # {accept}", {"id": "anna"}
    response, body = await post(salon.manager, accept, extensions=by_hash(text), variables=variables)
    assert (response.status_code, error_of(body)) == (200, NOT_FOUND)
    assert body["errors"][0]["extensions"]["requestId"] == response.headers["x-request-id"]
    found = {"customer": {"externalId": "anna"}}
    _, body = await post(salon.manager, accept, query=text, extensions=by_hash(text), variables=variables)
    assert body["data"] == found
    response, body = await post(salon.manager, accept, extensions=by_hash(text), variables=variables)
    assert (response.status_code, body["data"]) == (200, found)
    assert body["extensions"]["cost"]["requestedQueryCost"] > 0


async def test_a_query_that_is_named_by_its_hash_may_come_with_get(salon: Business) -> None:
    text, variables = f"{NAMED} # get", {"id": "anna"}
    _, body = await get(salon.manager, extensions=by_hash(text), variables=variables, operationName="Find")
    assert error_of(body) == NOT_FOUND
    found = {"customer": {"externalId": "anna"}}
    _, body = await get(salon.manager, query=text, extensions=by_hash(text), variables=variables)
    assert body["data"] == found
    response, body = await get(salon.manager, "*/*", extensions=by_hash(text), variables=variables)
    assert (response.status_code, body["data"]) == (200, found)
    assert response.headers["cache-control"] == "no-store"


async def test_get_changes_nothing_and_runs_no_document_without_a_hash(salon: Business) -> None:
    mutation = 'mutation { customerUpsert(input: {externalId: "by-get", fullName: "G"}) { userErrors { code } } }'
    for fields in (
        {"query": mutation, "extensions": by_hash(mutation)},
        {"query": VIEWER, "extensions": {}},
        {"query": VIEWER},
    ):
        response, body = await get(salon.manager, **fields)
        assert (response.status_code, response.headers["allow"]) == (405, "POST")
        assert body["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
    assert await salon.manager.get('{ customer(by: {externalId: "by-get"}) { id } }') is None
    _, body = await get(salon.manager, extensions=by_hash(mutation))
    assert error_of(body) == NOT_FOUND, "what was refused is not kept"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("extensions=%7B", "extensions"),
        ("extensions=%7B%7D&extensions=%7B%7D", "extensions"),
        ("documentId=abc", "documentId"),
        ("documentId=sha256%3AABC", "documentId"),
        ("documentId=" + "a" * 64 + "&variables=5", "variables"),
        ("documentId=" + "a" * 64 + "&operationName=%00", "NUL"),
        ("documentId=" + "a" * 64 + "&operationName=%ff", "address"),
    ],
)
async def test_an_address_that_is_no_request_names_its_field(salon: Business, query: str, field: str) -> None:
    async with httpx2.AsyncClient(timeout=GENEROUS_SECONDS, verify=NO_TLS) as http:
        response = await http.get(f"{salon.manager.server.url}?{query}", headers=salon.manager.headers)
    assert response.status_code == 400
    assert field in response.json()["errors"][0]["message"]


async def test_a_text_with_the_hash_of_another_is_refused_and_replaces_nothing(salon: Business) -> None:
    text = f"{VIEWER} # good"
    await post(salon.manager, query=text, extensions=by_hash(text))
    wrong = f"{VIEWER} # wrong"
    _, body = await post(salon.manager, query=wrong, extensions=by_hash(text))
    assert body["errors"][0]["extensions"]["reason"] == "HASH_MISMATCH"
    assert "extensions.persistedQuery" in body["errors"][0]["message"]
    never = f"{VIEWER} # never sent"
    await post(salon.manager, query=wrong, extensions=by_hash(never))
    assert error_of((await post(salon.manager, extensions=by_hash(never)))[1]) == NOT_FOUND
    assert (await post(salon.manager, extensions=by_hash(text)))[1]["data"]["viewer"]


async def test_a_document_that_may_not_run_is_not_kept(salon: Business) -> None:
    for text in ("{ nope }", "{", "query A { viewer { name } } query B { viewer { name } }"):
        _, body = await post(salon.manager, query=text, extensions=by_hash(text))
        assert body["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        assert error_of((await post(salon.manager, extensions=by_hash(text)))[1]) == NOT_FOUND


async def test_hashes_of_another_tenant_are_unknown(salon: Business, rival: Business) -> None:
    text = f"{VIEWER} # of the salon"
    await post(salon.manager, query=text, extensions=by_hash(text))
    assert error_of((await post(rival.manager, extensions=by_hash(text)))[1]) == NOT_FOUND
    invented = await post(rival.manager, extensions=by_hash("invented"))
    assert error_of(invented[1]) == NOT_FOUND


async def test_customers_of_a_tenant_share_its_documents(salon: Business) -> None:
    text = f"{VIEWER} # of the app"
    await post(salon.manager, query=text, extensions=by_hash(text))
    anna = await salon.customer("anna")
    _, body = await post(anna, extensions=by_hash(text))
    assert body["data"]["viewer"]["name"] == "Customer"


async def test_a_document_id_is_the_hash_of_a_document_that_is_known(salon: Business) -> None:
    text = f"{VIEWER} # by id"
    document_id = f"sha256:{sha256(text)}"
    response, body = await post(salon.manager, GRAPHQL_JSON, documentId=document_id)
    assert response.status_code == 400
    assert body["errors"][0]["extensions"]["reason"] == "DOCUMENT_NOT_FOUND"
    await post(salon.manager, query=text, extensions=by_hash(text))
    for sent in (document_id, sha256(text)):
        assert (await post(salon.manager, documentId=sent))[1]["data"]["viewer"]
        assert (await get(salon.manager, documentId=sent))[1]["data"]["viewer"]
    response, body = await post(salon.manager, documentId=document_id, extensions=by_hash("another"))
    assert response.status_code == 400
    assert "documentId" in body["errors"][0]["message"]


@pytest.mark.parametrize(
    ("persisted", "field"),
    [
        ([], "extensions.persistedQuery"),
        ({"sha256Hash": "a" * 64}, "version"),
        ({"version": 2, "sha256Hash": "a" * 64}, "version"),
        ({"version": True, "sha256Hash": "a" * 64}, "version"),
        ({"version": 1}, "sha256Hash"),
        ({"version": 1, "sha256Hash": "A" * 64}, "sha256Hash"),
        ({"version": 1, "sha256Hash": "a" * 63}, "sha256Hash"),
        ({"version": 1, "sha256Hash": "a" * 100_000}, "sha256Hash"),
    ],
)
async def test_a_malformed_extension_is_refused_by_its_field(salon: Business, persisted: object, field: str) -> None:
    response, body = await post(salon.manager, query=VIEWER, extensions={"persistedQuery": persisted})
    assert response.status_code == 400
    assert field in body["errors"][0]["message"]
    assert len(response.content) < 1_000


async def test_a_server_without_persisted_queries_asks_for_texts(salon: Business, without: ServerProcess) -> None:
    manager = salon.manager.at(without)
    for accept in (JSON, GRAPHQL_JSON):
        response, body = await post(manager, accept, extensions=by_hash(VIEWER))
        assert (response.status_code, error_of(body)) == (200, NOT_SUPPORTED)
    assert error_of((await get(manager, extensions=by_hash(VIEWER)))[1]) == NOT_SUPPORTED
    assert (await post(manager, query=VIEWER, extensions=by_hash(VIEWER)))[1]["data"]["viewer"]
    assert error_of((await post(manager, extensions=by_hash(VIEWER)))[1]) == NOT_SUPPORTED


async def test_the_extension_works_over_a_socket(salon: Business) -> None:
    text = f"{VIEWER} # over a socket"
    async with open_socket(salon.manager) as socket:
        assert (await receive(socket))["type"] == "connection_ack"

        async def run(operation_id: str, **payload: object) -> Json:
            await send(socket, id=operation_id, type="subscribe", payload=payload)
            answer: Json = await receive(socket)
            assert answer["id"] == operation_id
            if answer["type"] == "next":
                assert await receive(socket) == {"id": operation_id, "type": "complete"}
            return answer

        answer = await run("1", extensions=by_hash(text))
        assert answer["type"] == "error"
        assert answer["payload"][0]["message"] == "PersistedQueryNotFound"
        assert (await run("2", query=text, extensions=by_hash(text)))["payload"]["data"]["viewer"]
        assert (await run("3", extensions=by_hash(text)))["payload"]["data"]["viewer"]
        assert (await run("4", query=VIEWER, extensions=by_hash(text)))["payload"][0]["extensions"]["reason"] == (
            "HASH_MISMATCH"
        )


async def test_the_extension_works_over_an_event_stream(salon: Business) -> None:
    text = f"{VIEWER} # as a stream"
    body = orjson.dumps({"extensions": by_hash(text)})
    answer = (await salon.manager.post(body, "text/event-stream")).text
    assert '"PersistedQueryNotFound"' in answer
    await post(salon.manager, query=text, extensions=by_hash(text))
    answer = (await salon.manager.post(body, "text/event-stream")).text
    assert '"viewer":{"name"' in answer
