"""A small API in which everything goes wrong somewhere: wrong classes, exceptions, forbidden nulls, late values."""

import asyncio
import enum
import random
from collections.abc import Generator
from typing import Annotated, Any, NewType, Union

import strawberry
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig
from strawberry.types.scalar import ScalarDefinition

from execution.resolvers import RESOLVE_ALL


@strawberry.enum
class Colour(enum.StrEnum):
    """Members whose values are not their names."""

    RED = "r"
    BLUE = "b"


Even = NewType("Even", int)


def serialize_even(value: Any) -> Any:
    """Return an even number; null for 4, which is an error of the scalar."""
    if value % 2:
        raise GraphQLError(f"{value} is odd")
    return None if value == 4 else int(value)


EVEN: ScalarDefinition = strawberry.scalar(name="Even", serialize=serialize_even, parse_value=int)


class Later:
    """A value that can be awaited, though it is no coroutine."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __await__(self) -> Generator[None, None, Any]:
        yield
        return self._value


class Row:
    """A row with whatever attributes it was given."""

    def __init__(self, values: dict[str, Any]) -> None:
        vars(self).update(values)


class DogRow(Row):
    """A row of a dog."""


class CatRow(Row):
    """A row of a cat."""


class FishRow(Row):
    """A row that no type reads."""


def reads(row: type) -> Any:
    """Declare which rows a type shows."""
    return classmethod(lambda cls, value, _info: isinstance(value, (row, cls)))


@strawberry.interface
class Animal:
    name: str
    legs: int | None


@strawberry.type
class Part:
    size: int
    even: Even
    inner: "Part | None"


Pet = Annotated[Union["Dog", "Cat"], strawberry.union("Pet")]


async def resolve_friend(root: Any) -> Pet | None:
    """Resolve the friend of one row."""
    return _friend(root)  # type: ignore[no-any-return]


async def resolve_friends(rows: list[Any], _info: Any) -> list[Any]:
    """Resolve the friends of all rows at once."""
    await asyncio.sleep(0)
    found = []
    for row in rows:
        try:
            found.append(_friend(row))
        except Exception as error:  # noqa: BLE001 - it fails its own row only
            found.append(error)
    return found


def _friend(row: Any) -> Any:
    if row.legs == 2:
        raise RuntimeError("a bird has no friends")
    return row.friend


@strawberry.type
class Dog(Animal):
    is_type_of = reads(DogRow)

    barks: bool
    colour: Colour
    maybe_colour: Colour | None
    tags: list[str]
    maybe_tags: list[str | None] | None
    grid: list[list[int]] | None
    weight: float | None
    key: strawberry.ID
    even: Even | None
    parts: list[Part]
    maybe_parts: list[Part | None] | None
    mother: "Dog"
    friend: Pet | None = strawberry.field(resolver=resolve_friend, metadata={RESOLVE_ALL: resolve_friends})

    @strawberry.field
    def loud(self) -> str:
        """Return the name in capital letters. It fails for a name that is no text."""
        return self.name.upper()

    @strawberry.field
    def title(root: Any, info: strawberry.Info) -> str | None:  # noqa: N805 - strawberry's name for the row
        """Return a text with the name of the field."""
        return f"{info.field_name} {root.name}"

    @strawberry.field
    async def late(self) -> int:
        """Return a number later, or fail later."""
        await asyncio.sleep(0)
        if self.legs == 3:
            raise ValueError("three legs")
        return self.legs  # type: ignore[return-value]

    @strawberry.field
    def sometimes_late(self) -> int | None:
        """Return something to await, though it is no coroutine function."""
        return Later(self.legs) if self.legs else None  # type: ignore[return-value]

    @strawberry.field
    def grown(self, by: int = 1, to: Colour | None = None) -> str:
        """Return a text of the arguments."""
        return f"{self.legs}+{by} {to}"

    @strawberry.field
    async def enemies(self) -> list[Pet]:
        """Return a list of a union that comes later."""
        await asyncio.sleep(0)
        return [self.friend, self.friend]  # type: ignore[list-item]


@strawberry.type
class Cat(Animal):
    is_type_of = reads(CatRow)

    lives: int
    favourite: Dog | None
    rival: Animal


@strawberry.type
class Query:
    @strawberry.field
    async def animals(self, info: strawberry.Info, first: int = 5) -> list[Animal]:
        """Return all animals."""
        return info.context[:first]  # type: ignore[no-any-return]

    @strawberry.field
    def maybe_animals(self, info: strawberry.Info) -> list[Animal | None] | None:
        """Return all animals, in a list that may have null."""
        return info.context  # type: ignore[no-any-return]

    @strawberry.field
    def pets(self, info: strawberry.Info) -> list[Pet | None]:
        """Return all animals, as a union."""
        return tuple(info.context)  # type: ignore[return-value]

    @strawberry.field
    def dogs(self, info: strawberry.Info) -> list[Dog | None]:
        """Return all animals, though some are no dogs."""
        return (row for row in info.context)  # type: ignore[return-value]

    @strawberry.field
    def dog(self, info: strawberry.Info) -> Dog | None:
        """Return the first animal."""
        return info.context[0]  # type: ignore[no-any-return]


def build_hostile_schema() -> strawberry.Schema:
    """Return the schema of the API."""
    return strawberry.Schema(Query, types=[Dog, Cat], config=StrawberryConfig(scalar_map={Even: EVEN}))


def make_animals(chance: random.Random) -> list[Any]:
    """Return rows with wrong values among right ones, each of which may stand in several places."""
    made: list[Any] = [_make_animal(chance, []) for _ in range(3)]
    made += [_make_animal(chance, made) for _ in range(5)]
    return chance.choices([*made, *made, None, ValueError("no animal"), "no row"], k=6)


def _make_animal(chance: random.Random, others: list[Any]) -> Any:
    """Return a row whose values are mostly right, sometimes wrong, and sometimes missing."""

    def one(*values: Any) -> Any:
        return chance.choice((values[0], values[0], values[0], *values))

    kind = one(DogRow, CatRow, FishRow)
    part = Part(size=one(1, "2", None, "x"), even=one(2, 3, 4), inner=None)
    values = {
        "name": one("Rex", 5, None, ValueError("no name")),
        "legs": one(4, 3, 2, None, 2**40, True, 4.0, 4.5),
        "barks": one(True, 1, None, "yes"),
        "colour": one("r", Colour.BLUE, "green", None),
        "maybe_colour": one(Colour.RED, "b", None, []),
        "tags": one(["a", "b"], [], ["a", None], "text", None, [1, "b"]),
        "maybe_tags": one(["a", None], None, 7, [ValueError("no tag"), "a"], {"a": 1}, ["a", {}]),
        "grid": one([[1], [2, 3]], [[1], None], [[1, "x"]], [[], []], None),
        "weight": one(1.5, 2, "3.5", float("nan"), None),
        "key": one("k", 7, None, 1.5),
        "even": one(2, 3, 4, None),
        "parts": one([part, part], [], [part, None], None),
        "maybe_parts": one([part, None], [Part(size=1, even=Even(2), inner=part)], None, [ValueError("no part")]),
        "lives": one(9, None, "nine"),
        "mother": one(*(others or [None]), None),
        "friend": one(*(others or [None]), None, "nobody"),
        "favourite": one(*(others or [None]), None),
        "rival": one(*(others or [None]), 5),
    }
    for name in chance.choices(list(values), k=chance.choice((0, 0, 1))):
        del values[name]
    return kind(values)
