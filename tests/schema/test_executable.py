"""The printed schema is complete, sorted and stable."""

import strawberry

from schema.executable import build_schema, print_sdl
from schema.scalars import Points


@strawberry.input(one_of=True, description="How to find a thing.")
class ThingBy:
    id: strawberry.Maybe[strawberry.ID]
    name: strawberry.Maybe[str]


@strawberry.type(description="A small one.")
class Small:
    points: Points


@strawberry.type(description="A large one.")
class Large:
    points: Points


def find_thing(by: ThingBy, limit: int = 20) -> Small | Large | None:  # noqa: ARG001
    return Large(points=Points(limit))


@strawberry.type
class Query:
    thing: Small | Large | None = strawberry.field(resolver=find_thing, description="One of two.")


SCHEMA = build_schema(Query)

SDL = '''\
"""A large one."""
type Large {
  points: Points!
}

"""
A whole number of points between -9007199254740991 and 9007199254740991, as a JSON number: exact in every JSON reader. \
Texts, fractions and booleans are refused.
"""
scalar Points

type Query {
  """One of two."""
  thing(by: ThingBy!, limit: Int! = 20): SmallLarge
}

"""A small one."""
type Small {
  points: Points!
}

union SmallLarge = Small | Large

"""How to find a thing."""
input ThingBy @oneOf {
  id: ID
  name: String
}
'''


def test_prints_the_schema_sorted_by_name_with_one_of_inputs() -> None:
    assert print_sdl(SCHEMA) == SDL


async def test_printing_leaves_the_schema_able_to_answer() -> None:
    """Sorting the schema itself breaks every union at run time."""
    print_sdl(SCHEMA)
    result = await SCHEMA.execute('{ thing(by: {id: "1"}) { __typename ... on Large { points } } }')
    assert result.errors is None
    assert result.data == {"thing": {"__typename": "Large", "points": 20}}
