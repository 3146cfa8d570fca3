import asyncio
from typing import Any

import orjson
import pytest
import strawberry
from graphql import get_introspection_query, parse

from execution.plans import MAX_VARIANTS, PLANNED_FIELD_BYTES, Plans
from execution.resolvers import RESOLVE_ALL
from tests.execution.answering import Executors, told


class Calls:
    """What resolvers were called with."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.batches: list[int] = []
        self.paths: list[Any] = []


@strawberry.type
class Maker:
    name: str

    @strawberry.field
    async def fails(self) -> str:
        """Fail always."""
        raise RuntimeError("no maker")


async def resolve_maker(root: Any) -> Maker:
    """Resolve the maker of one row, as graphql-core calls it."""
    return root["maker"]  # type: ignore[no-any-return]


async def resolve_makers(rows: list[Any], info: strawberry.Info) -> list[Any]:
    """Resolve the makers of all rows at once, as a plan calls it."""
    info.context.batches.append(len(rows))
    return [row["maker"] for row in rows]


async def resolve_too_few(rows: list[Any], info: strawberry.Info) -> list[Any]:  # noqa: ARG001
    """Resolve all rows but one, which is wrong."""
    return [None] * (len(rows) - 1)


@strawberry.type
class Item:
    maker: Maker = strawberry.field(resolver=resolve_maker, metadata={RESOLVE_ALL: resolve_makers})
    lost: Maker | None = strawberry.field(resolver=resolve_maker, metadata={RESOLVE_ALL: resolve_too_few})

    @strawberry.field
    def placed(self, info: strawberry.Info) -> int | None:
        """Return the place of the item in the answer."""
        return info.path.key  # type: ignore[return-value]


@strawberry.type
class Query:
    @strawberry.field
    def items(self) -> list[Item]:
        """Return six items of two makers."""
        first, second = Maker(name="A"), Maker(name="B")
        return [{"maker": maker} for maker in (first, second, first, first, second, first)]  # type: ignore[misc]

    @strawberry.field
    def word(self) -> str:
        """Return a word."""
        return "word"


@strawberry.type
class Mutation:
    @strawberry.field
    async def add(self, info: strawberry.Info, name: str, *, fails: bool = False) -> str:
        """Note the name when the mutation begins and when it ends."""
        info.context.names.append(f"{name} begins")
        await asyncio.sleep(0)
        info.context.names.append(f"{name} ends")
        if fails:
            raise ValueError(name)
        return name


@pytest.fixture(scope="module")
def executors() -> Executors:
    """Provide both ways to answer: plans, and graphql-core."""
    return Executors(strawberry.Schema(Query, Mutation))


async def test_a_row_that_many_share_is_resolved_and_completed_once(executors: Executors) -> None:
    calls = Calls()
    planned, plain = await executors.answer("{ items { maker { name } } }", context=calls)
    assert planned.data == plain.data
    assert calls.batches == [6]
    makers = [item["maker"] for item in planned.data["items"]]  # type: ignore[index]
    assert makers[0] is makers[2]
    assert makers[0] is not makers[1]


async def test_an_error_of_a_shared_row_is_told_for_every_place(executors: Executors) -> None:
    planned, plain = await executors.answer("{ word items { lost: maker { fails } } }", context=Calls())
    assert planned.data is None is plain.data
    assert told(planned) == told(plain)
    assert [error.path for error in planned.errors or ()] == [["items", 0, "lost", "fails"]]


async def test_mutations_run_one_after_the_other_and_end_with_the_first_failure(executors: Executors) -> None:
    document = 'mutation { a: add(name: "a") b: add(name: "b", fails: true) c: add(name: "c") }'
    calls = Calls()
    planned, plain = await executors.answer(document, context=calls)
    once = ["a begins", "a ends", "b begins", "b ends"]
    assert calls.names == once * 2
    assert planned.data is None is plain.data
    assert [error.formatted for error in planned.errors or ()] == [error.formatted for error in plain.errors or ()]


async def test_a_resolver_for_all_that_forgets_a_row_is_an_error_of_its_field(executors: Executors) -> None:
    planned, _ = await executors.answer("{ items { lost { name } } }", context=Calls())
    assert planned.data == {"items": [{"lost": None}] * 6}
    assert {error.message for error in planned.errors or ()} == {"a resolver for 6 rows gave 5 values"}


async def test_a_resolver_that_asks_for_its_path_is_told_that_there_is_none(executors: Executors) -> None:
    planned, _ = await executors.answer("{ items { placed } }", context=Calls())
    assert planned.data == {"items": [{"placed": None}] * 6}
    assert "it has no path" in str((planned.errors or [])[0])


def plans_of(executors: Executors, document: str, sizes: list[int] | None = None) -> tuple[Plans, Any]:
    """Return the plans of a document, and the document."""
    tree = parse(document)
    return Plans(executors.planner, tree, (sizes if sizes is not None else []).append), tree


@pytest.mark.parametrize(
    "document",
    [
        "{ word @unknown }",
        "query @unknown { word }",
    ],
)
def test_an_unusual_document_has_no_plan(executors: Executors, document: str) -> None:
    plans, tree = plans_of(executors, document)
    assert plans.find(executors.build(tree)) is None


@pytest.mark.parametrize(
    "document",
    [
        get_introspection_query(specified_by_url=True, input_value_deprecation=True),
        '{ word __type(name: "Item") { kind fields(includeDeprecated: true) { name type { ofType { name } } } } }',
        '{ ...F none: __type(name: "Nothing") { name } } fragment F on Query { __schema { description } }',
    ],
)
async def test_the_schema_is_read_by_a_plan(executors: Executors, document: str) -> None:
    planned, plain = await executors.answer(document, context=Calls())
    assert orjson.dumps(planned.data) == orjson.dumps(plain.data)
    assert planned.errors is None is plain.errors


def test_a_document_keeps_a_plan_for_each_set_of_switches_up_to_a_limit(executors: Executors) -> None:
    """Further ones are made for one operation, and count for nothing."""
    sizes: list[int] = []
    names = [f"v{number}" for number in range(5)]
    heads = ", ".join(f"${name}: Boolean!" for name in names)
    fields = " ".join(f"{name}: word @include(if: ${name})" for name in names)
    plans, tree = plans_of(executors, f"query({heads}) {{ word {fields} }}", sizes)
    found = []
    for number in range(32):
        grown = len(sizes)
        variables = {name: bool(number & 1 << place) for place, name in enumerate(names)}
        found.append(plans.find(executors.build(tree, variables)))
        assert (len(sizes) > grown) is (number < MAX_VARIANTS)
    assert len({id(plan) for plan in found}) == 32
    assert None not in found
    again = [plans.find(executors.build(tree, dict.fromkeys(names, value))) for value in (False, True)]
    assert again[0] is found[0]
    assert again[1] is not found[-1]


def test_a_plan_tells_its_size_and_a_repeated_fragment_is_planned_once(executors: Executors) -> None:
    sizes: list[int] = []
    repeated = " ".join(f"i{number}: items {{ ...F }}" for number in range(10))
    plans, tree = plans_of(executors, f"{{ {repeated} }} fragment F on Item {{ maker {{ name }} }}", sizes)
    assert plans.find(executors.build(tree)) is not None
    assert PLANNED_FIELD_BYTES * 10 < sum(sizes) <= PLANNED_FIELD_BYTES * 45
