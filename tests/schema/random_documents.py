"""Random operations over a schema, all valid: fields, aliases, fragments, @skip and @include, arguments, variables."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    is_leaf_type,
)

MAX_LEVEL = 6
PAGE_SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 101)
"""The last one is refused, as an error of its field."""


class Operation(NamedTuple):
    """A document and the values of its variables."""

    document: str
    variables: dict[str, Any]


class Pool(NamedTuple):
    """Values that mean something in the data: by scalar, and whole inputs by their type."""

    scalars: Mapping[str, Sequence[Any]]
    inputs: Mapping[str, Sequence[Any]]


class Writer:
    """Writes one random operation."""

    def __init__(self, schema: GraphQLSchema, pool: Pool, chance: random.Random, without: frozenset[str]) -> None:
        self._schema = schema
        self._pool = pool
        self._chance = chance
        self._without = without
        self._declared: list[str] = []
        self._values: dict[str, Any] = {}
        self._fragments: list[str] = []
        self._aliases = 0
        self._deep_fields = chance.choice((2, 4, 8, 12))

    def write(self) -> Operation:
        """Return an operation that reads."""
        query = self._schema.query_type
        assert query is not None
        selection = self._object(query, 0)
        head = f"query({', '.join(self._declared)}) " if self._declared else ""
        return Operation(" ".join([head + selection, *self._fragments]), self._values)

    def _selection(self, type_: Any, level: int) -> str:
        """Return a selection set of any composite type."""
        if isinstance(type_, GraphQLObjectType):
            return self._object(type_, level)
        kinds = sorted(self._schema.get_possible_types(type_), key=lambda one: one.name)
        parts = ["__typename"]
        if isinstance(type_, GraphQLInterfaceType) and self._chance.random() < 0.7:
            parts += self._fields(type_, level)
        for kind in self._chance.sample(kinds, min(len(kinds), 4)):
            parts.append(f"... on {kind.name}{self._switch()} {self._object(kind, level + 1)}")
        return f"{{ {' '.join(parts)} }}"

    def _object(self, type_: GraphQLObjectType, level: int) -> str:
        """Return a selection set of an object type, with fields, and sometimes with fragments."""
        parts = self._fields(type_, level)
        if self._chance.random() < 0.2:
            parts.append(f"...{self._switch()} {{ {' '.join(self._fields(type_, level))} }}")
        if self._chance.random() < 0.2:
            name = f"F{len(self._fragments)}"
            self._fragments.append("")
            self._fragments[int(name[1:])] = (
                f"fragment {name} on {type_.name} {{ {' '.join(self._fields(type_, level))} }}"
            )
            parts += [f"...{name}{self._switch()}"] * self._chance.randint(1, 2)
        self._chance.shuffle(parts)
        return f"{{ {' '.join(parts)} }}"

    def _fields(self, type_: GraphQLObjectType | GraphQLInterfaceType, level: int) -> list[str]:
        """Return fields of a type, chosen at random: leaves, and fields with a selection down to a greatest depth."""
        names = [name for name in type_.fields if name not in self._without]
        leaves = [name for name in names if is_leaf_type(get_named_type(type_.fields[name].type))]
        deep = [name for name in names if name not in leaves] if level < MAX_LEVEL and self._deep_fields > 0 else []
        chosen = self._chance.sample(leaves, min(len(leaves), self._chance.randint(0, 5)))
        below = self._chance.sample(deep, min(len(deep), self._chance.choice((1, 1, 1, 2, 3)) if level else 2))
        self._deep_fields -= len(below)
        chosen += below
        fields = [self._field(name, type_.fields[name], level) for name in chosen]
        if self._chance.random() < 0.1 or not fields:
            fields.append("__typename")
        return fields

    def _field(self, name: str, field: GraphQLField, level: int) -> str:
        """Return one field with its alias, its arguments, its directive and its selection."""
        given = ", ".join(
            f"{key}: {text}" for key, argument in field.args.items() if (text := self._argument(key, argument))
        )
        text = f"{name}({given})" if given else name
        inside = get_named_type(field.type)
        below = "" if is_leaf_type(inside) else f" {self._selection(inside, level + 1)}"
        # Fields of one name with different arguments or types must not meet, so whatever could gets a name of its own.
        return f"{self._alias(name, field)}{text}{self._switch()}{below}"

    def _alias(self, name: str, field: GraphQLField) -> str:
        if not field.args and self._chance.random() < 0.9:
            return ""
        self._aliases += 1
        return f"{name[0]}{self._aliases}: "

    def _switch(self) -> str:
        """Return nothing, or @skip or @include with a value or a variable."""
        if self._chance.random() > 0.06:
            return ""
        directive = self._chance.choice(("skip", "include"))
        if self._chance.random() < 0.4:
            return f" @{directive}(if: {self._chance.choice(('true', 'false'))})"
        name = self._declare("Boolean!", self._chance.random() < 0.5, default="true")
        return f" @{directive}(if: ${name})"

    def _declare(self, type_: str, value: Any, default: str | None = None) -> str:
        """Declare a variable, and return its name. With a default its value may be left out."""
        name = f"v{len(self._declared)}"
        self._declared.append(f"${name}: {type_}" + (f" = {default}" if default else ""))
        if default is None or self._chance.random() < 0.7:
            self._values[name] = value
        return name

    def _argument(self, name: str, argument: GraphQLArgument) -> str | None:
        required = isinstance(argument.type, GraphQLNonNull)
        if name in {"first", "last"}:
            if name == "last" or self._chance.random() < 0.3:
                return None
            size = self._chance.choice(PAGE_SIZES)
            return f"${self._declare('Int', size, default='4')}" if self._chance.random() < 0.3 else str(size)
        if not required and self._chance.random() < 0.9:
            return None
        return f"${self._declare(str(argument.type), self.make_value(argument.type))}"

    def make_value(self, type_: Any) -> Any:
        """Return a value of an input type."""
        if isinstance(type_, GraphQLNonNull):
            return self.make_value(type_.of_type)
        if isinstance(type_, GraphQLList):
            return [self.make_value(type_.of_type) for _ in range(self._chance.randint(1, 3))]
        if type_.name in self._pool.inputs:
            return self._chance.choice(self._pool.inputs[type_.name])
        if isinstance(type_, GraphQLEnumType):
            return self._chance.choice(sorted(type_.values))
        if isinstance(type_, GraphQLInputObjectType):
            return self._input(type_)
        return self._chance.choice(self._pool.scalars.get(type_.name) or ("x",))

    def _input(self, type_: GraphQLInputObjectType) -> dict[str, Any]:
        names = list(type_.fields)
        if type_.is_one_of:
            name = self._chance.choice(names)
            return {name: self.make_value(type_.fields[name].type)}
        return {
            name: self.make_value(field.type)
            for name, field in type_.fields.items()
            if isinstance(field.type, GraphQLNonNull) or self._chance.random() < 0.4
        }


def fill_variables(
    schema: GraphQLSchema, pool: Pool, chance: random.Random, types: Mapping[str, Any]
) -> dict[str, Any]:
    """Return values for the variables of an operation, by their types."""
    writer = Writer(schema, pool, chance, frozenset())
    return {name: writer.make_value(type_) for name, type_ in types.items()}


def write_operation(
    schema: GraphQLSchema, pool: Pool, chance: random.Random, without: frozenset[str] = frozenset()
) -> Operation:
    """Return a random operation. Some are over the limits of the schema: they are refused before they run."""
    return Writer(schema, pool, chance, without).write()
