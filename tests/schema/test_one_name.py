"""One name has one type across all members of a union or an interface: one document reads them without aliases."""

from collections.abc import Iterator

import pytest
from graphql import GraphQLInterfaceType, GraphQLSchema, GraphQLUnionType, build_schema, parse, validate

from schema.executable import print_sdl
from schema.root import treue_schema
from tests.schema.test_every_field import selection


@pytest.fixture(scope="module")
def api() -> GraphQLSchema:
    """Provide the schema as clients read it."""
    return build_schema(print_sdl(treue_schema()))


def abstract_types(api: GraphQLSchema) -> Iterator[GraphQLInterfaceType | GraphQLUnionType]:
    """Yield every union and every interface."""
    for type_ in api.type_map.values():
        if isinstance(type_, GraphQLInterfaceType | GraphQLUnionType):
            yield type_


def clashes(api: GraphQLSchema) -> list[str]:
    """Return names that have two types among the members of a union or an interface; deprecated fields do not count."""
    found = []
    for type_ in abstract_types(api):
        types: dict[str, dict[str, str]] = {}
        for member in api.get_possible_types(type_):
            for name, field in member.fields.items():
                if not field.deprecation_reason:
                    types.setdefault(name, {})[str(field.type)] = member.name
        found += [f"{type_.name}: {name} {told}" for name, told in types.items() if len(told) > 1]
    return found


def test_one_name_has_one_type(api: GraphQLSchema) -> None:
    assert clashes(api) == []


def test_a_clash_would_be_seen() -> None:
    small = build_schema(
        "interface Node { id: ID! } type A implements Node { id: ID! size: Int! old: Int @deprecated }"
        "type B implements Node { id: ID! size: Int old: String } union Both = A | B "
        "type Query { node: Node both: Both }"
    )
    assert [text.split()[:2] for text in clashes(small)] == [["Node:", "size"], ["Both:", "size"]]


def test_one_document_selects_every_field_of_every_member_without_aliases(api: GraphQLSchema) -> None:
    for type_ in abstract_types(api):
        fields = selection(type_, api)
        if type_.name == "UserError":
            members = api.get_possible_types(type_)
            parts = [f"... on {one.name} {selection(one, api, first=False)}" for one in members]
            fields = f"{{ {' '.join(parts)} }}"
        around = build_schema(f"{print_sdl(treue_schema())}\nextend type Query {{ everything: {type_.name} }}")
        document = parse(f"{{ everything {fields} }}")
        assert validate(around, document) == []
        assert ":" not in fields.replace("first: 3", "")
