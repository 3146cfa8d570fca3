"""Inputs are made as strawberry makes them, and the items of a batch in as many turns as they need."""

import asyncio
import contextlib
import random
from dataclasses import is_dataclass
from typing import Any, cast

import pytest
import strawberry
from graphql import (
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInt,
    OperationDefinitionNode,
    Undefined,
    coerce_input_value,
    get_nullable_type,
    is_list_type,
    parse,
)
from graphql.execution import get_variable_values
from strawberry.types import ExecutionResult
from strawberry.types.arguments import InputContext

from schema.batch_inputs import SLICE_INPUTS, PendingItem
from schema.batch_items import SLICE_ITEMS, ReadVariables, RefusedItem, read_batches, read_item
from schema.executable import build_schema
from schema.guard import guarded
from schema.masking import MAX_ERRORS
from schema.root import treue_schema

TREUE = treue_schema()
INPUTS = {
    name: type_
    for name, type_ in TREUE._schema.type_map.items()  # noqa: SLF001 - strawberry has no other way to it
    if isinstance(type_, GraphQLInputObjectType)
}
DEPTH = 4


def context_at(*path: str | int) -> InputContext:
    return InputContext(None, TREUE.config, TREUE.schema_converter.scalar_registry, path)


def value_of(type_: Any, depth: int = DEPTH) -> Any:
    """Return a value of a type as it is after graphql-core has read it, with all fields."""
    bare: Any = get_nullable_type(type_)
    if is_list_type(bare):
        return [value_of(bare.of_type, depth - 1), value_of(bare.of_type, depth - 1)]
    if isinstance(bare, GraphQLInputObjectType):
        return {name: value_of(field.type, depth - 1) for name, field in bare.fields.items()} if depth > 0 else None
    if isinstance(bare, GraphQLEnumType):
        return next(iter(bare.values.values())).value
    return f"a {bare.name}"


@pytest.mark.parametrize("name", sorted(INPUTS))
@pytest.mark.parametrize("kind", ["all", "none", "null"])
def test_inputs_are_made_as_strawberry_makes_them(name: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    definition: Any = INPUTS[name].extensions["strawberry-definition"]
    given = {"all": value_of(INPUTS[name]), "none": {}, "null": dict.fromkeys(INPUTS[name].fields)}[kind]
    assert definition.from_input is not None
    ours = _told(context_at("input").convert(given, definition.origin))
    for type_ in INPUTS.values():
        monkeypatch.setattr(type_.extensions["strawberry-definition"], "from_input", None)
    assert ours == _told(context_at("input").convert(given, definition.origin))


def _told(made: Any) -> Any:
    """Return an input as plain values, with the classes of all inputs in it."""
    if isinstance(made, PendingItem):
        return _told(made.convert())
    if isinstance(made, list):
        return [_told(item) for item in made]
    if is_dataclass(made):
        return type(made), {name: _told(value) for name, value in vars(made).items()}
    return made


def test_only_the_items_of_a_batch_wait() -> None:
    definition: Any = INPUTS["PurchaseRecordInput"].extensions["strawberry-definition"]
    given = value_of(INPUTS["PurchaseRecordInput"])
    item = context_at("input", "items", 3).convert(given, definition.origin)
    assert isinstance(item, PendingItem)
    assert type(item.convert()) is definition.origin
    for path in (("input",), ("input", "lines", 0), ("filter", "items", 0), ("input", "other", "items", 0)):
        assert type(context_at(*path).convert(given, definition.origin)) is definition.origin


@strawberry.input
class Part:
    name: str


@strawberry.input
class Item:
    number: int
    parts: list[Part] | None = None


@strawberry.input
class Items:
    items: list[Item]


@strawberry.type
class Query:
    word: str = ""


@strawberry.type
class Mutation:
    @guarded(description="Adds the numbers up.", batch="items")
    @staticmethod
    async def add(info: strawberry.Info, input: Items) -> int:  # noqa: A002, ARG004
        """Check that every item has its class when the mutation begins."""
        assert {type(item) for item in input.items} == {Item}
        assert {type(part) for item in input.items for part in item.parts or ()} <= {Part}
        return sum(item.number for item in input.items)


def operation_of(document: str) -> OperationDefinitionNode:
    """Return the only operation of a document."""
    return cast("OperationDefinitionNode", parse(document).definitions[0])


LIST = "mutation($items: [Item!]!) { add(input: {items: $items}) }"
INPUT = "mutation($input: Items!) { add(input: $input) }"


async def run(document: str, items: Any) -> tuple[ExecutionResult, int]:
    """Return the answer, and how many turns of the event loop others had meanwhile."""
    schema = build_schema(Query, Mutation)
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    ticker = asyncio.create_task(tick())
    variables = {"items": items} if document == LIST else {"input": {"items": items}}
    try:
        result = await schema.execute(document, variable_values=variables)
    finally:
        ticker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ticker
    return result, turns


@pytest.mark.parametrize("document", [LIST, INPUT])
async def test_the_items_of_a_batch_are_read_and_converted_in_as_many_turns_as_they_need(document: str) -> None:
    items = [{"number": number, "parts": [{"name": "a"}]} for number in range(1_000)]
    result, turns = await run(document, items)
    assert result.errors is None
    assert result.data == {"add": sum(range(1_000))}
    assert turns >= 1_000 // SLICE_ITEMS + 1_000 // SLICE_INPUTS


@pytest.mark.parametrize("document", [LIST, INPUT])
async def test_items_that_are_wrong_are_read_in_turns_too(document: str) -> None:
    good = [{"number": number, "parts": [{"name": "a"}]} for number in range(1_000)]
    result, turns = await run(document, [*good, {"number": 1, "nothingHasThisName": 2}])
    assert turns >= 1_000 // SLICE_ITEMS
    (error,) = result.errors or []
    assert "at '" in error.message or ".1000" in error.message or "[1000]" in error.message, error.message
    assert "nothingHasThisName" in error.message
    result, turns = await run(document, [*good, *({"number": "x"} for _ in range(400))])
    assert turns >= 1_400 // SLICE_ITEMS


@pytest.mark.parametrize("count", [1, 9, 10, 11, 50])
async def test_items_that_refuse_the_request_are_told_as_graphql_core_tells_them(count: int) -> None:
    items = [{"number": 1}, *({"number": 1, f"no{number}": 2} for number in range(count)), {"number": 3}]
    result, _ = await run(LIST, items)
    definitions = operation_of(LIST).variable_definitions
    schema = build_schema(Query, Mutation)._schema  # noqa: SLF001 - strawberry has no other way to it
    expected = get_variable_values(schema, definitions or (), {"items": items}, MAX_ERRORS - 1, hide_suggestions=True)
    assert isinstance(expected, list)
    assert [error.message for error in result.errors or []][: MAX_ERRORS - 1] == [error.message for error in expected][
        : MAX_ERRORS - 1
    ]
    assert len(result.errors or []) == len(expected)


async def test_each_value_of_a_batch_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Good ones and bad ones, in a batch that has both."""
    read: list[object] = []

    def note(value: object) -> int:
        read.append(value)
        return int(GraphQLInt.parse_value(value))

    schema = build_schema(Query, Mutation)._schema  # noqa: SLF001 - strawberry has no other way to it
    monkeypatch.setattr(schema.type_map["Int"], "coerce_input_value", note)
    items: list[Any] = [{"number": 1}, {"number": "x"}, {"number": 2}, {"number": [3]}]
    batches = await read_batches(schema, operation_of(LIST), {"items": items})
    assert read == [1, "x", 2, [3]]
    assert isinstance(batches, ReadVariables)
    assert batches == {"items": items}
    assert batches.unread == {"items": []}


WRONG: tuple[Any, ...] = (None, "x", 7, [], {}, [[]], {"a": 1}, True, 1.5)


@pytest.mark.parametrize("name", sorted(INPUTS))
def test_items_are_read_as_graphql_core_reads_them(name: str) -> None:
    """What can be read has the same value; what cannot is marked, or refuses the request."""
    chance = random.Random(name)  # noqa: S311 - no secrets
    type_ = INPUTS[name]
    for _ in range(20):
        item = sent_value(type_, chance)
        expected = Undefined
        with contextlib.suppress(GraphQLError):  # strawberry raises it for a @oneOf input without one field
            expected = coerce_input_value(item, type_)
        try:
            ours = read_item(type_, item)
        except RefusedItem:
            assert expected is Undefined
            continue
        if expected is Undefined:
            assert "UnreadableValue" in repr(ours), item
        else:
            assert repr(ours) == repr(expected), item


def sent_value(type_: Any, chance: random.Random, depth: int = DEPTH) -> Any:
    """Return a value as it is sent: mostly right, with fields left out, and now and then a wrong one."""
    if chance.random() < 0.03:
        return chance.choice(WRONG)
    bare: Any = get_nullable_type(type_)
    if is_list_type(bare):
        return [sent_value(bare.of_type, chance, depth - 1) for _ in range(chance.randrange(3))]
    if isinstance(bare, GraphQLInputObjectType):
        fields = {field: bare.fields[field] for field in bare.fields if chance.random() < 0.7 and depth > 0}
        sent = {field: sent_value(fields[field].type, chance, depth - 1) for field in fields}
        return {**sent, "nope": 1} if chance.random() < 0.02 else sent
    if isinstance(bare, GraphQLEnumType):
        return next(iter(bare.values))
    return chance.choice(("1", "a", 1))
