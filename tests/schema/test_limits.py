"""Depth, aliases and cost are measured in one pass; steps are counted here, not time."""

import asyncio
from collections.abc import Sequence

import pytest
import strawberry
from graphql import DocumentNode, OperationDefinitionNode, get_introspection_query, parse

from schema.executable import ExecutableSchema, build_schema
from schema.limits import (
    DEFAULT_PAGE_SIZE,
    MAX_ALIASES,
    MAX_COST,
    MAX_DEPTH,
    MAX_TOKENS,
    QUESTION_COST,
    UNPAGED_LIST_SIZE,
    Measure,
    Measured,
    describe_excess,
    measure_operations,
)


@strawberry.type
class Person:
    name: str

    @strawberry.field
    def friend(self) -> "Person | None":
        return None

    @strawberry.field
    def tags(self) -> list["Person"]:
        return []

    @strawberry.field
    def friends(self, first: int | None = None, last: int | None = None) -> "PersonConnection":  # noqa: ARG002
        return PersonConnection(nodes=[], total=0)


@strawberry.type
class PersonConnection:
    nodes: list[Person]
    total: int
    total_count: int = 0


@strawberry.type
class Query:
    @strawberry.field
    def person(self, text: str = "") -> Person:  # noqa: ARG002
        return Person(name="Ada")

    @strawberry.field
    def people(self, first: int | None = None, last: int | None = None) -> PersonConnection:  # noqa: ARG002
        return PersonConnection(nodes=[], total=0)


SCHEMA = build_schema(Query)
ASK = QUESTION_COST


def measured(query: str, variables: dict[str, object] | None = None) -> Measured:
    document = parse(query)
    return measure_operations(SCHEMA._schema, document, operations(document), variables)  # noqa: SLF001


def operations(document: DocumentNode) -> Sequence[OperationDefinitionNode]:
    return [definition for definition in document.definitions if isinstance(definition, OperationDefinitionNode)]


def measure(query: str, variables: dict[str, object] | None = None) -> Measure:
    return measured(query, variables).measures[0]


async def codes(query: str, schema: ExecutableSchema = SCHEMA, **variables: object) -> list[str]:
    result = await schema.execute(query, variable_values=dict(variables))
    return [str((error.extensions or {})["code"]) for error in result.errors or []]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("{ person { name } }", Measure(2, 0, ASK + 1)),
        ("{ a: person { b: name name } }", Measure(2, 2, ASK + 2)),
        ("{ person { ... { name } ... on Person { name } } }", Measure(2, 0, ASK + 2)),
        ("{ person { ...F } } fragment F on Person { friend { name } }", Measure(3, 0, ASK + 2)),
        ("{ person { ...F a: friend { ...F } } } fragment F on Person { x: name }", Measure(3, 3, ASK + 3)),
        ("{ people(first: 7) { nodes { name } } }", Measure(3, 0, ASK + 7 * 2)),
        ("{ people(last: 7) { nodes { name } } }", Measure(3, 0, ASK + 7 * 2)),
        ("{ people(first: 3, last: 7) { nodes { name } } }", Measure(3, 0, ASK + 7 * 2)),
        ("{ people { nodes { name } } }", Measure(3, 0, ASK + DEFAULT_PAGE_SIZE * 2)),
        ("{ people(first: null) { nodes { name } } }", Measure(3, 0, ASK + DEFAULT_PAGE_SIZE * 2)),
        ("{ people(first: 1000000) { nodes { name } } }", Measure(3, 0, ASK + 100 * 2)),
        ("{ people(first: -5) { nodes { name } } }", Measure(3, 0, ASK + 1 * 2)),
        ("{ people(first: 0) { nodes { name } } }", Measure(3, 0, ASK + 1 * 2)),
        ("{ people(first: " + "9" * 5_000 + ") { nodes { name } } }", Measure(3, 0, ASK + 100 * 2)),
        ("query ($n: Int = 7) { people(first: $n) { nodes { name } } }", Measure(3, 0, ASK + 7 * 2)),
        ("query ($n: Int) { people(first: $n) { nodes { name } } }", Measure(3, 0, ASK + 100 * 2)),
        ("query ($n: Int!) { people(first: $n) { nodes { name } } }", Measure(3, 0, ASK + 100 * 2)),
        ("{ people(first: $unknown) { nodes { name } } }", Measure(3, 0, ASK + 100 * 2)),
        ("{ person { tags { name } } }", Measure(3, 0, ASK + 1 + UNPAGED_LIST_SIZE)),
        ("{ people(first: 7) { ...C } } fragment C on PersonConnection { nodes { name } }", Measure(3, 0, ASK + 7 * 2)),
        (
            "{ people(first: 5) { nodes { friends(first: 3) { nodes { name } } } } }",
            Measure(5, 0, ASK + 5 * (1 + ASK + 3 * 2)),
        ),
        ("{ people(first: 7) { total nodes { name } } }", Measure(3, 0, ASK + 1 + 7 * 2)),
        ("{ people(first: 7) { totalCount nodes { name } } }", Measure(3, 0, 2 * ASK + 7 * 2)),
        ("{ people(first: 7) { ...C } } fragment C on PersonConnection { totalCount }", Measure(2, 0, 2 * ASK)),
        (
            "{ people(first: 5) { nodes { friends(first: 3) { totalCount nodes { name } } } } }",
            Measure(5, 0, ASK + 5 * (1 + 2 * ASK + 3 * 2)),
        ),
        ("{ nothing { like { this } } }", Measure(3, 0, 3)),
        ("{ ...F } fragment F on Nothing { a { b } }", Measure(2, 0, 2)),
        ("{ ...Missing }", Measure(0, 0, 0)),
        ("{ __typename }", Measure(1, 0, 1)),
    ],
)
def test_measures_depth_aliases_and_cost(query: str, expected: Measure) -> None:
    assert measure(query) == expected


def test_page_sizes_sent_at_run_time_count_when_they_are_known() -> None:
    query = "query ($n: Int = 1) { people(first: $n) { nodes { name } } }"
    assert measure(query, {"n": 50}).cost == ASK + 50 * 2
    assert measure(query, {"n": 10**30}).cost == ASK + 100 * 2
    assert measure(query, {"n": "50"}).cost == ASK + 1 * 2, "a value of the wrong type is refused elsewhere"


def chain(length: int, spreads: int = 2) -> str:
    """Return `length` fragments, each spreading the next one several times.

    The full text has spreads ** length fields.
    """
    links = [
        f"fragment F{n} on Person {{ {' '.join(f'...F{n + 1}' for _ in range(spreads))} }}" for n in range(length - 1)
    ]
    return "{ person { ...F0 } } " + " ".join(links) + f" fragment F{length - 1} on Person {{ name }}"


def test_three_hundred_chained_fragments_take_a_step_per_selection() -> None:
    """Written out the document has 2^299 fields; measured it takes two steps per selection."""
    selections = 2 + 299 * 2 + 1
    result = measured(chain(300))
    assert result.visited <= 2 * selections
    assert result.measures[0].cost == 10**9, "counting stops beyond every limit"
    assert describe_excess(result.measures[0]) is not None


@pytest.mark.parametrize("length", [10, 100, 300])
def test_steps_grow_with_the_document_and_not_with_what_it_stands_for(length: int) -> None:
    assert measured(chain(length)).visited <= 2 * (2 + 2 * length)


def test_many_operations_share_one_pass_over_the_fragments() -> None:
    fragments = chain(100).split("} } ", 1)[1]
    many = " ".join(f"query Q{n} {{ person {{ ...F0 }} }}" for n in range(200))
    assert measured(many + " " + fragments).visited <= 2 * (2 + 2 * 100) + 2 * 200


@pytest.mark.parametrize(
    "query",
    [
        "{ person { ...A } } fragment A on Person { ...A }",
        "{ person { ...A } } fragment A on Person { friend { ...B } } fragment B on Person { friend { ...A } }",
        (
            "{ person { ...A } } fragment A on Person { ...B ...C } fragment B on Person { ...C } "
            "fragment C on Person { ...A ...B name }"
        ),
    ],
)
async def test_cyclic_fragments_end_and_are_refused(query: str) -> None:
    assert measured(query).visited < 50
    found = await codes(query)
    assert found
    assert set(found) <= {"BAD_USER_INPUT", "QUERY_TOO_COMPLEX"}


def nested(depth: int) -> str:
    return "{ person " + "{ friend " * (depth - 2) + "{ name }" + " }" * (depth - 2) + " }"


async def test_refuses_one_field_deeper_than_the_limit() -> None:
    assert await codes(nested(MAX_DEPTH)) == []
    assert await codes(nested(MAX_DEPTH + 1)) == ["QUERY_TOO_COMPLEX"]


async def test_refuses_one_alias_more_than_the_limit() -> None:
    def aliased(count: int) -> str:
        return "{ person { " + " ".join(f"a{n}: name" for n in range(count)) + " } }"

    assert await codes(aliased(MAX_ALIASES)) == []
    assert await codes(aliased(MAX_ALIASES + 1)) == ["QUERY_TOO_COMPLEX"]


async def test_refuses_what_costs_more_than_the_limit() -> None:
    inner = "nodes { friends(first: %d) { nodes { name } } }"
    dear = "{ people(first: 100) { " + inner % 100 + " } }"
    assert measure(dear).cost > MAX_COST
    assert await codes(dear) == ["QUERY_TOO_COMPLEX"]
    assert await codes("{ people(first: 100) { " + inner % 50 + " } }") == []


async def test_refuses_chained_fragments_as_too_complex() -> None:
    assert "QUERY_TOO_COMPLEX" in await codes(chain(150))


async def test_a_small_default_does_not_let_large_pages_through() -> None:
    """Validation is cached per document, so what is really sent is looked at once more before it runs."""
    query = (
        "query Q($n: Int = 1, $m: Int = 1) "
        "{ people(first: $n) { nodes { friends(first: $m) { nodes { friends(first: $m) { nodes { name } } } } } } }"
    )
    assert await codes(query) == []
    assert await codes(query, n=5, m=5) == []
    assert await codes(query, n=100, m=100) == ["QUERY_TOO_COMPLEX"]
    assert await codes(query) == []


async def test_refuses_documents_with_more_tokens_than_the_limit() -> None:
    assert await codes("{ person { " + "name " * MAX_TOKENS + "} }") == ["QUERY_TOO_COMPLEX"]


DEEP_DOCUMENTS = {
    "open fields": "{ person " + "{ friend " * 20_000,
    "open lists": "{ person(text: " + "[" * 20_000,
    "open objects": "{ people(first: " + "{a:" * 900,
    "open directives": "{ person @a(b: " + "[" * 900,
    "150 fields": nested(150),
    "199 fields": nested(199),
    "250 fields": nested(250),
    "150 lists": "{ person(text: " + "[" * 150 + "]" * 150 + ") { name } }",
    "150 objects": "{ person(text: " + "{a:" * 150 + "1" + "}" * 150 + ") { name } }",
    "199 lists": "{ person(text: " + "[" * 199 + "]" * 199 + ") { name } }",
    "fragments": chain(150, spreads=1).replace("{ ...", "{ friend { ...").replace(" } fragment", " } } fragment"),
}


@pytest.mark.parametrize("name", list(DEEP_DOCUMENTS))
async def test_deeply_nested_documents_are_refused_without_falling_over(name: str) -> None:
    found = await codes(DEEP_DOCUMENTS[name])
    assert found
    assert set(found) <= {"QUERY_TOO_COMPLEX", "BAD_USER_INPUT"}


async def test_the_usual_introspection_query_passes() -> None:
    assert await codes(get_introspection_query(specified_by_url=True, input_value_deprecation=True)) == []


async def test_refuses_circular_introspection() -> None:
    query = "{ __schema { types { fields { type { fields { type { fields { type { name } } } } } } } } }"
    assert await codes(query) == ["QUERY_TOO_COMPLEX"]
    assert await codes('{ __type(name: "Person") { fields { type { fields { type { fields { name } } } } } } }') == [
        "BAD_USER_INPUT"
    ], "graphql-core refuses it where it would not be dear"


@pytest.mark.parametrize("query", [r'{ person(text: "a\u0000b") { name } }', r'{ person(text: "\u{0}") { name } }'])
async def test_refuses_nul_in_a_literal(query: str) -> None:
    assert await codes(query) == ["BAD_USER_INPUT"]


async def test_parallel_operations_do_not_share_errors() -> None:
    """Each request gets its own errors with its own id."""
    good, bad = "{ person { name } }", "{ person { nope } }"
    found = await asyncio.gather(*(codes(query) for query in [good, bad] * 20))
    assert found == [[], ["BAD_USER_INPUT"]] * 20
