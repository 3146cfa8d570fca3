"""Trusted documents: a tenant registers what its clients run, and says who may run nothing else."""

import uuid
from collections.abc import Sequence

import orjson
import pytest
from graphql import get_introspection_query
from websockets.exceptions import ConnectionClosed

from api.errors import GRAPHQL_JSON
from loyalty.rules.ids import TenantId
from loyalty.rules.trusted_document import MAX_DOCUMENTS_AT_ONCE, OfferedDocument
from loyalty.services.known_documents import KNOWN_DOCUMENT_BYTES, KnownDocuments
from loyalty.services.trusted_document import register_documents
from loyalty.services.world import World
from permissions.actor import system_actor
from schema.limits import QUESTION_COST
from tests.acceptance.business import Business
from tests.acceptance.client import Caller, Json
from tests.acceptance.sockets import open_socket, receive, send
from tests.fixtures.documents import by_hash, sha256

VIEWER = "query Viewer { viewer { name } }"
OTHER = "{ viewer { kind } }"
SMALL = {"TREUE_BUDGET_POINTS": "20000", "TREUE_BUDGET_POINTS_PER_SECOND": "2"}
ADDED = "added documents { documentId name text createdBy }"


async def post(caller: Caller, **body: object) -> Json:
    answer: Json = orjson.loads((await caller.post(orjson.dumps(body), GRAPHQL_JSON)).content)
    return answer


def reason_of(body: Json) -> str:
    (error,) = body["errors"]
    return str(error["extensions"]["reason"])


async def register(business: Business, *texts: str) -> Json:
    documents = [{"text": text} for text in texts]
    payload: Json = await business.manager.do("trustedDocumentsRegister", ADDED, documents=documents)
    return payload


async def names_of(business: Business) -> Sequence[str]:
    listed = await business.manager.get("{ trustedDocuments { totalCount nodes { text } } }")
    assert listed["totalCount"] == len(listed["nodes"])
    return [one["text"] for one in listed["nodes"]]


async def test_a_registered_document_is_run_by_its_hash_at_every_server(salon: Business) -> None:
    payload = await register(salon, VIEWER)
    assert payload == {
        "userErrors": [],
        "added": 1,
        "documents": [
            {"documentId": f"sha256:{sha256(VIEWER)}", "name": None, "text": VIEWER, "createdBy": "The manager"}
        ],
    }
    for server in salon.installation.servers:
        caller = salon.integration.at(server)
        assert (await post(caller, documentId=f"sha256:{sha256(VIEWER)}"))["data"]["viewer"]["name"] == "Booking system"
        assert (await post(caller, documentId=sha256(VIEWER)))["data"]["viewer"]
        assert (await post(caller, extensions=by_hash(VIEWER)))["data"]["viewer"]


async def test_registering_again_changes_nothing_and_removing_counts_at_once(salon: Business) -> None:
    await register(salon, VIEWER)
    assert (await register(salon, VIEWER, OTHER, OTHER))["added"] == 1
    assert sorted(await names_of(salon)) == sorted([VIEWER, OTHER])
    assert (await post(salon.integration, documentId=sha256(VIEWER)))["data"]["viewer"]
    removed = await salon.manager.do("trustedDocumentsRemove", "removed", documentIds=[f"sha256:{sha256(VIEWER)}"])
    assert removed["removed"] == 1
    assert reason_of(await post(salon.integration, documentId=sha256(VIEWER))) == "DOCUMENT_NOT_FOUND"
    assert await names_of(salon) == [OTHER]


async def test_an_invalid_document_is_not_registered_and_named_by_its_place(salon: Business) -> None:
    wrong = [
        {"text": VIEWER},
        {"text": "{ nope }"},
        {"text": "{"},
        {"text": OTHER, "documentId": sha256(VIEWER)},
        {"text": "{ viewer { name } }" + "#" * 70_000},
        {"text": "{ " + "a: viewer { name } " * 60 + "}"},
    ]
    async with salon.unchanged():
        errors = await salon.manager.refusals("trustedDocumentsRegister", documents=wrong)
        assert [error["path"] for error in errors] == [
            ["documents", "1", "text"],
            ["documents", "2", "text"],
            ["documents", "3", "documentId"],
            ["documents", "4", "text"],
            ["documents", "5", "text"],
        ]
        for documents in ([], [{"text": VIEWER}] * (MAX_DOCUMENTS_AT_ONCE + 1)):
            (error,) = await salon.manager.refusals("trustedDocumentsRegister", documents=documents)
            assert error["path"] == ["documents"]
        (error,) = await salon.manager.refusals(
            "trustedDocumentsRegister", documents=[{"text": VIEWER, "name": "n" * 121}]
        )
        assert error["path"] == ["documents", "0", "name"]
        (error,) = await salon.manager.refusals("trustedDocumentsRemove", documentIds=[sha256(VIEWER)])
        assert (error["code"], error["path"]) == ("NOT_FOUND", ["documentIds", "0"])


async def test_who_may_run_trusted_documents_only_runs_no_others(salon: Business) -> None:
    await register(salon, VIEWER)
    await salon.manager.do("customerUpsert", "customer { id }", externalId="anna", fullName="Anna")
    anna = await salon.customer("anna")
    await post(anna, query=OTHER, extensions=by_hash(OTHER))
    await salon.manager.do("documentRuleSet", "tenant { documentRule }", rule="CUSTOMERS")
    for body in (
        {"query": OTHER},
        {"query": f"{VIEWER} "},
        {"query": OTHER, "extensions": by_hash(OTHER)},
        {"extensions": by_hash(OTHER)},
        {"documentId": sha256(OTHER)},
        {"query": "{ __schema { queryType { name } } }"},
    ):
        answer = await post(anna, **body)
        assert (reason_of(answer), "data" in answer) == ("DOCUMENT_NOT_TRUSTED", False)
    assert reason_of(await post(anna, query=OTHER, extensions=by_hash(VIEWER))) == "HASH_MISMATCH"
    for body in ({"query": VIEWER}, {"extensions": by_hash(VIEWER)}, {"documentId": sha256(VIEWER)}):
        assert (await post(anna, **body))["data"]["viewer"]
    assert (await post(salon.integration, query=OTHER))["data"]["viewer"], "the rule is about customers"
    await salon.manager.do("documentRuleSet", "tenant { documentRule }", rule="EVERYBODY")
    assert reason_of(await post(salon.integration, query=OTHER)) == "DOCUMENT_NOT_TRUSTED"
    assert (await post(salon.integration, query=VIEWER))["data"]["viewer"]


async def test_who_may_change_the_rule_can_always_change_it_back(salon: Business) -> None:
    assert await salon.manager.get("{ viewer { tenant { documentRule } } }") == {"tenant": {"documentRule": "ANY"}}
    await salon.manager.do("documentRuleSet", "tenant { documentRule }", rule="EVERYBODY")
    assert reason_of(await post(salon.staff, query=OTHER)) == "DOCUMENT_NOT_TRUSTED"
    payload = await salon.manager.do("documentRuleSet", "tenant { documentRule }", rule="ANY")
    assert payload["tenant"] == {"documentRule": "ANY"}
    assert (await post(salon.staff, query=OTHER))["data"]["viewer"]


async def test_documents_and_rule_of_one_tenant_are_nothing_to_another(salon: Business, rival: Business) -> None:
    await register(salon, VIEWER)
    await salon.manager.do("documentRuleSet", "tenant { documentRule }", rule="EVERYBODY")
    assert reason_of(await post(rival.integration, documentId=sha256(VIEWER))) == "DOCUMENT_NOT_FOUND"
    await register(rival, OTHER)
    assert reason_of(await post(rival.integration, documentId=sha256(VIEWER))) == "DOCUMENT_NOT_FOUND"
    (error,) = await rival.manager.refusals("trustedDocumentsRemove", documentIds=[sha256(VIEWER)])
    assert error["code"] == "NOT_FOUND"
    assert await names_of(rival) == [OTHER]
    assert (await post(rival.integration, query=VIEWER))["data"]["viewer"]
    assert reason_of(await post(salon.integration, documentId=sha256(OTHER))) == "DOCUMENT_NOT_TRUSTED"


async def test_asking_for_unknown_hashes_uses_up_the_budget(salon: Business) -> None:
    await register(salon, VIEWER)
    async with salon.installation.serve_apart("narrow-documents", SMALL) as narrow:
        caller = salon.integration.at(narrow)
        assert "errors" not in await post(caller, query=get_introspection_query())
        for number in range(20_000 // QUESTION_COST):
            reason = reason_of(await post(caller, documentId=sha256(f"unknown {number}")))
            if reason == "BUDGET_USED_UP":
                break
            assert reason == "DOCUMENT_NOT_FOUND"
        else:
            pytest.fail("unknown hashes cost nothing")


async def test_a_document_that_does_not_fit_the_api_any_more_says_so(salon: Business) -> None:
    """Nothing that the API registers is like that; an upgrade can make it so."""
    text = "{ viewer { goneWithTheUpgrade } }"
    actor = system_actor(salon.tenant_id, "tests")
    await register_documents(World(salon.database), actor, [OfferedDocument(sha256(text), text)])
    for body in ({"documentId": sha256(text)}, {"extensions": by_hash(text)}):
        answer = await post(salon.integration, **body)
        assert reason_of(answer) == "DOCUMENT_OUTDATED"
        assert "goneWithTheUpgrade" in answer["errors"][0]["message"]


async def test_a_socket_runs_new_documents_and_closes_when_others_are_refused(salon: Business) -> None:
    async with open_socket(salon.integration) as socket:
        assert (await receive(socket))["type"] == "connection_ack"
        await register(salon, VIEWER)
        assert (await post(salon.integration, documentId=sha256(VIEWER)))["data"]["viewer"]
        await send(socket, id="1", type="subscribe", payload={"documentId": sha256(VIEWER)})
        assert (await receive(socket))["payload"]["data"]["viewer"]
        assert (await receive(socket))["type"] == "complete"
        await salon.manager.do("documentRuleSet", "tenant { documentRule }", rule="EVERYBODY")
        with pytest.raises(ConnectionClosed):
            await receive(socket)
        assert socket.close_code == 4403


def test_texts_of_a_process_are_bounded_and_dropped_with_each_change() -> None:
    known, large = KnownDocuments(), "x" * 1_000_000
    first, second = (TenantId(uuid.UUID(int=number)) for number in (1, 2))
    for number in range(40):
        known.keep(first, 1, str(number), large)
    assert known.kept_bytes <= KNOWN_DOCUMENT_BYTES
    assert known.find(first, 1, "39") == large
    assert known.find(first, 1, "0") is None
    assert known.find(first, 2, "39") is None, "its tenant has changed documents"
    assert known.find(second, 1, "39") is None
    assert [known.remember_version(first, version) for version in (2, 5, 3)] == [2, 5, 5]
