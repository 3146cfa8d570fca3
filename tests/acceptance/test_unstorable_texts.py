"""A text that PostgreSQL cannot store refuses its own field, or the item of a batch in which it stands."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from graphql import GraphQLInputObjectType, GraphQLList, GraphQLNonNull, GraphQLString

from tests.acceptance.business import Business
from tests.acceptance.client import Caller, Json, mutation, purchase_of
from tests.acceptance.root_fields import fields_of, input_of, value_of

UNSTORABLE = ["a\0b", "\ud800", "\udc00", "x\ud83d"]
REASON = "must not hold NUL characters or unpaired surrogates"

Path = tuple[str | int, ...]


async def send(caller: Caller, document: str, **variables: Any) -> Json:
    """Return the answer to variables that no other client would send."""
    response = await caller.post(json.dumps({"query": document, "variables": variables}).encode())
    answer: Json = json.loads(response.content)
    return answer


def paths_of_texts(kind: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the paths of the texts in an input type; of a list only the first entry counts."""
    if isinstance(kind, GraphQLNonNull):
        yield from paths_of_texts(kind.of_type, path)
    elif isinstance(kind, GraphQLList):
        yield from paths_of_texts(kind.of_type, (*path, 0))
    elif isinstance(kind, GraphQLInputObjectType):
        for name, field in kind.fields.items():
            yield from paths_of_texts(field.type, (*path, name))
    elif getattr(kind, "name", None) == GraphQLString.name:
        yield path


def put(kind: Any, value: Any, path: Path, text: str) -> Any:
    """Return an input with a text at a path. Missing parts of the path are added."""
    if not path:
        return text
    step, *rest = path
    if isinstance(kind, GraphQLNonNull):
        return put(kind.of_type, value, path, text)
    if isinstance(kind, GraphQLList):
        first = value[0] if value else value_of(kind.of_type)
        return [put(kind.of_type, first, tuple(rest), text)]
    if kind.is_one_of and step not in value:
        value = {}
    below = kind.fields[str(step)].type
    within = value.get(step)
    return {**value, str(step): put(below, value_of(below) if within is None and rest else within, tuple(rest), text)}


PLACES = [
    (name, path) for name, field in fields_of("Mutation").items() for path in paths_of_texts(field.args["input"].type)
]


def test_the_contract_has_texts_to_try() -> None:
    assert len(PLACES) > 100
    assert {("memberAdd", ("person", "email")), ("purchasesRecord", ("items", 0, "externalId"))} <= set(PLACES)


async def test_every_text_of_every_mutation_is_refused_by_its_path(salon: Business) -> None:
    """No text reaches PostgreSQL that it cannot store, and the refusal names the field that was sent."""
    wrong = {}
    async with salon.unchanged():
        for name, path in PLACES:
            field = fields_of("Mutation")[name]
            given = put(field.args["input"].type, input_of(name, field), path, "a\0b")
            batch = name in {"purchasesRecord", "customersUpsert", "openingBalancesImport"} and path[0] == "items"
            errors = "userErrors { path message }"
            results = "results { userErrors { path message } }" if batch else ""
            answer = await send(salon.owner, mutation(name, f"{errors} {results}"), input=given)
            payload = (answer.get("data") or {}).get(name)
            found = [] if payload is None else payload["userErrors"]
            told, expected = found, [str(step) for step in path]
            if batch and payload is not None and payload["results"]:
                told, expected = payload["results"][0]["userErrors"], expected[2:]
            if not any(error["path"] == expected for error in told):
                wrong[name, path] = answer
    assert wrong == {}


@pytest.mark.parametrize("text", UNSTORABLE, ids=ascii)
async def test_of_a_batch_only_the_item_is_refused(salon: Business, text: str) -> None:
    items = [purchase_of(f"order-{number}", "10.00") for number in range(4)]
    items[1]["externalId"] = text
    items[2]["customer"] = {"externalId": text}
    selection = "userErrors { path } results { userErrors { path message } purchase { externalId } }"
    answer = await send(salon.integration, mutation("purchasesRecord", selection), input={"items": items})
    payload = answer["data"]["purchasesRecord"]
    assert payload["userErrors"] == []
    assert [one["purchase"] and one["purchase"]["externalId"] for one in payload["results"]] == [
        "order-0",
        None,
        None,
        "order-3",
    ]
    told = [[(error["path"], REASON in error["message"]) for error in one["userErrors"]] for one in payload["results"]]
    assert told == [[], [(["externalId"], True)], [(["customer", "externalId"], True)], []]


@pytest.mark.parametrize("text", UNSTORABLE, ids=ascii)
async def test_of_a_look_up_of_many_only_one_finds_nothing(salon: Business, text: str) -> None:
    await salon.integration.do("purchaseRecord", "purchase { id }", **purchase_of("order-1", "10.00"))
    document = """
        query($ids: [String!]!, $keys: [PurchaseKeyInput!]!) {
          customersByExternalId(externalIds: $ids) { externalId } purchasesByKey(keys: $keys) { externalId }
        }"""
    keys = [{"kind": "ORDER", "externalId": one} for one in (text, "order-1")]
    answer = await send(salon.staff, document, ids=["anna", text], keys=keys)
    assert answer["data"] == {
        "customersByExternalId": [{"externalId": "anna"}, None],
        "purchasesByKey": [None, {"externalId": "order-1"}],
    }


@pytest.mark.parametrize("text", UNSTORABLE, ids=ascii)
@pytest.mark.parametrize(
    ("document", "path"),
    [
        ("query($t: String!) { customer(by: {externalId: $t}) { id } }", ["by", "externalId"]),
        ("query($t: String!) { customers(search: $t) { totalCount } }", ["search"]),
        ("query($t: String!) { customers(filter: {tags: [$t]}) { totalCount } }", ["filter", "tags", "0"]),
        ("query($t: String!) { adjustments(filter: {actor: $t}) { totalCount } }", ["filter", "actor"]),
    ],
)
async def test_a_query_names_the_argument(salon: Business, document: str, path: list[str], text: str) -> None:
    answer = await send(salon.staff, document, t=text)
    (error,) = answer["errors"]
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert [problem["path"] for problem in error["extensions"]["problems"]] == [path]


@pytest.mark.parametrize("text", UNSTORABLE, ids=ascii)
async def test_an_id_that_is_no_text_finds_nothing(salon: Business, text: str) -> None:
    answer = await send(salon.staff, "query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=[text])
    assert answer == {"data": {"nodes": [None]}, "extensions": answer["extensions"]}
