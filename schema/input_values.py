"""Find what the scalars could not read in an input, and say where it stands.

Nothing unreadable reaches a resolver: `guarded` looks through the input of mutations, and `refuse_unreadable_arguments`
through the arguments of all other fields. Only a mutation that takes a batch looks through its items itself.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from graphql import GraphQLObjectType, GraphQLSchema

from loyalty.rules.errors import InvalidInput, Problem
from schema.scalars import UnreadableValue

DESCRIPTIVE = {"descriptive": True}
"""Metadata of an input field that only describes a customer: a bad value there is left out with a warning."""

_PLAIN = (str, int, float, bool, type(None))
MUTATION = "Mutation"


def unreadable_problems(given: Any, path: tuple[str, ...] = (), *, leave: str | None = None) -> list[Problem]:
    """What the scalars refused in an input, with the path from here; descriptive fields are no problem.

    ``leave`` names a field of the input itself that is not looked at: the items of a batch.
    """
    return list(dict.fromkeys(_problems(given, path, leave)))


def _problems(given: Any, path: tuple[str, ...], leave: str | None) -> Iterator[Problem]:
    if isinstance(given, UnreadableValue):
        yield Problem(path[: len(path) - given.above], given.reason)
    elif isinstance(given, list):
        for position, item in enumerate(given):
            if not isinstance(item, _PLAIN):
                yield from _problems(item, (*path, str(position)), None)
    elif is_dataclass(given) and not isinstance(given, type):
        for name in _field_names(type(given)):
            value = getattr(given, name)
            if name != leave and not isinstance(value, _PLAIN):
                yield from _problems(value, (*path, name), None)
    elif isinstance(given, Mapping):
        for name, value in given.items():
            yield from _problems(value, (*path, str(name)), None)


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(item.name for item in fields(kind) if not item.metadata.get("descriptive"))


def refuse_unreadable_arguments(schema: GraphQLSchema) -> None:
    """Let every field but mutations refuse arguments that its scalars could not read, before its resolver runs.

    A mutation answers in its ``userErrors``: `guarded` sees to that.
    """
    for name, type_ in schema.type_map.items():
        if isinstance(type_, GraphQLObjectType) and name != MUTATION:
            for field in type_.fields.values():
                if field.args and field.subscribe is not None:
                    field.subscribe = _strict(field.subscribe)
                elif field.args and field.resolve is not None:
                    field.resolve = _strict(field.resolve)


def _strict(resolve: Callable[..., Any]) -> Callable[..., Any]:
    def refuse_or_resolve(source: Any, info: Any, **arguments: Any) -> Any:
        problems = unreadable_problems(arguments)
        if problems:
            raise InvalidInput(problems)
        return resolve(source, info, **arguments)

    return refuse_or_resolve
