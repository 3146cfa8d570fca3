"""No resolver meets a value that its scalar refused."""

from typing import Any

import pytest
import strawberry
from graphql import GraphQLObjectType, get_named_type, is_input_object_type, is_scalar_type

from schema.executable import build_schema
from schema.input_values import unreadable_problems
from schema.root import treue_schema
from schema.scalars import SCALARS, Decimal, Points, UnreadableValue

WRONG = UnreadableValue("x", "is no Points: send a whole number")


@strawberry.input
class Item:
    points: Points
    names: list[Points]


@strawberry.type
class Inner:
    @strawberry.field
    def twice(self, value: Points | None = None) -> int:
        assert not isinstance(value, UnreadableValue)
        return 2 * (value or 0)


@strawberry.type
class Query:
    @strawberry.field
    def inner(self, amount: Decimal | None = None, item: Item | None = None) -> Inner:
        assert not isinstance(amount, UnreadableValue)
        assert item is None or unreadable_problems(item) == []
        return Inner()


SCHEMA = build_schema(Query)


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ('{ inner(amount: "NaN") { twice } }', ["amount"]),
        ('{ inner { twice(value: "5") } }', ["value"]),
        ("{ inner(item: {points: 1.5, names: []}) { twice } }", ["item", "points"]),
        ("{ inner(item: {points: 1, names: [1, true]}) { twice } }", ["item", "names", "1"]),
    ],
)
async def test_fields_refuse_unreadable_arguments_before_their_resolvers_run(document: str, path: list[str]) -> None:
    result = await SCHEMA.execute(document)
    (error,) = result.errors or []
    assert (error.extensions or {})["code"] == "BAD_USER_INPUT"
    assert [problem["path"] for problem in (error.extensions or {})["problems"]] == [path]


async def test_variables_are_refused_where_they_are_used() -> None:
    result = await SCHEMA.execute("query ($v: Points) { inner { twice(value: $v) } }", variable_values={"v": "five"})
    (error,) = result.errors or []
    assert (error.extensions or {})["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    "use",
    [bool, str, int, float, list, len, lambda value: value + 1, lambda value: value < 1, lambda value: f"{value}"],
)
def test_using_an_unreadable_value_fails(use: Any) -> None:
    with pytest.raises(TypeError):
        use(WRONG)


def test_only_fields_that_describe_are_left_to_their_mutation() -> None:
    """A new descriptive field has to be read with ``UnreadableValue`` in mind: it is named here on purpose."""
    descriptive = {
        f"{name}.{field.python_name}"
        for name, kind in treue_schema().schema_converter.type_map.items()
        for field in getattr(kind.definition, "fields", ())
        if getattr(field, "metadata", {}).get("descriptive")
    }
    assert descriptive == {"PurchaseCustomerInput.locale", "CustomerUpsertInput.locale"}


def test_every_scalar_of_ours_reads_into_a_value_or_an_unreadable_one() -> None:
    """A scalar that raised would refuse 1,000 items for the sake of one."""
    schema = treue_schema()._schema  # noqa: SLF001 - strawberry has no other way to it
    for definition in SCALARS.values():
        type_ = schema.type_map[definition.name]
        assert is_scalar_type(type_)
        for value in (object(), [], {}, "\x00", "\ud800", "x" * 5_000, 10**5_000, float("nan"), True):
            assert isinstance(type_.parse_value(value), UnreadableValue), (definition.name, value)


def test_every_field_with_arguments_is_strict() -> None:
    """Below the roots and at them; mutations answer in their payload."""
    schema = treue_schema()._schema  # noqa: SLF001 - strawberry has no other way to it
    for name, type_ in schema.type_map.items():
        if not isinstance(type_, GraphQLObjectType) or name == "Mutation" or name.startswith("__"):
            continue
        for field_name, field in type_.fields.items():
            kinds = [get_named_type(argument.type) for argument in field.args.values()]
            if any(is_input_object_type(kind) or is_scalar_type(kind) for kind in kinds):
                run = field.subscribe or field.resolve
                assert run is not None
                assert run.__name__ == "refuse_or_resolve", f"{name}.{field_name}"
