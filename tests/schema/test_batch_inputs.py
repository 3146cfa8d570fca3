"""Inputs are made as strawberry makes them, and the items of a batch in as many turns as they need."""

import asyncio
import contextlib
from dataclasses import is_dataclass
from typing import Any

import pytest
import strawberry
from graphql import GraphQLEnumType, GraphQLInputObjectType, get_nullable_type, is_list_type
from strawberry.types.arguments import InputContext

from schema.batch_inputs import SLICE_INPUTS, PendingItem
from schema.executable import build_schema
from schema.guard import guarded
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
    """A value of a type as it is after graphql-core has read it, with all fields."""
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
    """An input as plain values, with the classes of all inputs in it."""
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
        """Every item has its class when the mutation begins."""
        assert {type(item) for item in input.items} == {Item}
        assert {type(part) for item in input.items for part in item.parts or ()} <= {Part}
        return sum(item.number for item in input.items)


async def test_the_items_of_a_batch_are_converted_in_as_many_turns_as_they_need() -> None:
    schema = build_schema(Query, Mutation)
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    ticker = asyncio.create_task(tick())
    items = [{"number": number, "parts": [{"name": "a"}]} for number in range(1_000)]
    try:
        result = await schema.execute(
            "mutation($items: [Item!]!) { add(input: {items: $items}) }", variable_values={"items": items}
        )
    finally:
        ticker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await ticker
    assert result.errors is None
    assert result.data == {"add": sum(range(1_000))}
    assert turns >= 1_000 // SLICE_INPUTS
