"""A client of the last release goes on working: what would break it was deprecated first, or is announced."""

import re
from pathlib import Path

import pytest
from graphql import GraphQLSchema, build_schema
from graphql.utilities import BreakingChange, BreakingChangeType, find_breaking_changes

ROOT = Path(__file__).parents[2]
RELEASED = ROOT / "schema" / "releases" / "0.1.0.graphql"
CURRENT = ROOT / "schema" / "schema.graphql"
VERSIONS = ROOT / "docs" / "reference" / "versions.md"

ANNOUNCED = re.compile(r"^\| `([A-Za-z_.():]+)` \| (.+) \|$", re.MULTILINE)
COORDINATE = re.compile(r"[A-Za-z_]+\.[A-Za-z_]+(?:\([A-Za-z_]+:\))?")
"""https://spec.graphql.org/draft/#sec-Schema-Coordinates"""
DATED = re.compile(r"\d{4}-\d{2}-\d{2}")
REMOVALS = {
    BreakingChangeType.FIELD_REMOVED,
    BreakingChangeType.ARG_REMOVED,
    BreakingChangeType.VALUE_REMOVED_FROM_ENUM,
}


@pytest.fixture(scope="module")
def released() -> GraphQLSchema:
    """Provide the schema of the last release."""
    return build_schema(RELEASED.read_text())


@pytest.fixture(scope="module")
def current() -> GraphQLSchema:
    """Provide the schema of today."""
    return build_schema(CURRENT.read_text())


def announced() -> set[str]:
    """Return the elements whose breaking change the page on versions announces."""
    section = VERSIONS.read_text().split("## Breaking changes since 0.1.0", 1)[1].split("\n## ", 1)[0]
    return {name for name, _ in ANNOUNCED.findall(section)}


def element_of(change: BreakingChange) -> str:
    """Return the element that a change is about, as a schema coordinate.

    It is ``Type``, ``Type.field`` or ``Type.field(name:)``.
    """
    named = COORDINATE.search(change.description)
    return named[0] if named else change.description.split()[0]


def was_deprecated(api: GraphQLSchema, element: str) -> bool:
    """Tell whether a release had announced, with a day, that an element would go."""
    type_name, _, rest = element.partition(".")
    field, _, argument = rest.rstrip(":)").partition("(")
    type_ = api.type_map[type_name]
    members = getattr(type_, "fields", None) or getattr(type_, "values", {})
    member = members[field].args[argument] if argument else members[field]
    return bool(member.deprecation_reason and DATED.search(member.deprecation_reason))


def unannounced(old: GraphQLSchema, new: GraphQLSchema, known: set[str]) -> list[str]:
    """Return what would break a client of the old schema without a word."""
    return [
        change.description
        for change in find_breaking_changes(old, new)
        if element_of(change) not in known and not (change.type in REMOVALS and was_deprecated(old, element_of(change)))
    ]


def test_nothing_breaks_a_client_of_the_last_release(released: GraphQLSchema, current: GraphQLSchema) -> None:
    assert unannounced(released, current, announced()) == [], (
        "mark it @deprecated with a day first; where that cannot be, announce it in docs/reference/versions.md"
    )


def test_nothing_is_announced_that_did_not_happen(released: GraphQLSchema, current: GraphQLSchema) -> None:
    assert announced() <= {element_of(change) for change in find_breaking_changes(released, current)}


@pytest.mark.parametrize(
    ("old", "new", "element"),
    [
        ("type Query { a: Int b: Int }", "type Query { a: Int }", "Query.b"),
        ("type Query { a: Int }", "type Query { a: String }", "Query.a"),
        ("type Query { a(x: Int): Int }", "type Query { a: Int }", "Query.a(x:)"),
        ("type Query { a(x: Int): Int }", "type Query { a(x: Int!): Int }", "Query.a(x:)"),
        ("type Query { a: Int }", "type Query { a(x: Int!): Int }", "Query.a(x:)"),
        ("type Query { a(x: I): Int } input I { y: Int }", "type Query { a(x: I): Int } input I { y: Int!}", "I.y"),
        (
            "type Query { a(x: I): Int } input I { y: Int }",
            "type Query { a(x: I): Int } input I { z: Int! y: Int}",
            "I.z",
        ),
        ("type Query { a: E } enum E { A B }", "type Query { a: E } enum E { A }", "E.B"),
        ("type Query { a: E b: Int } enum E { A B }", "type Query { b: Int a: Int }", "E"),
    ],
)
def test_a_breaking_change_is_found_and_named(old: str, new: str, element: str) -> None:
    before, after = build_schema(old), build_schema(new)
    assert element in {element_of(change) for change in find_breaking_changes(before, after)}
    assert unannounced(before, after, set())
    assert len(unannounced(before, after, {element})) < len(unannounced(before, after, set()))


def test_an_element_that_was_deprecated_with_a_day_may_go() -> None:
    dated = build_schema('type Query { a: Int b: Int @deprecated(reason: "Use a. Goes after 2027-06-01.") }')
    undated = build_schema('type Query { a: Int b: Int @deprecated(reason: "Use a.") }')
    after = build_schema("type Query { a: Int }")
    assert unannounced(dated, after, set()) == []
    assert unannounced(undated, after, set()) == ["Field Query.b was removed."]
