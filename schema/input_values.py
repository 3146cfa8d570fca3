"""Find the unreadable values in an input, and return their paths.

No unreadable value reaches a resolver: `guarded` searches the input of mutations, and `refuse_unreadable_arguments` the
arguments of all other fields. A field with a batch searches its items itself.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, cast

from graphql import GraphQLField, GraphQLObjectType, GraphQLSchema
from strawberry.types.unset import UnsetType
from strawberry.utils.str_converters import to_camel_case

from loyalty.rules.errors import InvalidInput, Problem
from schema.scalars import UnreadableValue

DESCRIPTIVE = {"descriptive": True}
"""Metadata of an input field that only describes a customer. A wrong value in it is left out with a warning."""

BATCH = "batch"
"""The key of a field's metadata that names the list whose items the field searches itself."""

_PLAIN = (str, int, float, bool, type(None), UnsetType)
MUTATION = "Mutation"


def unreadable_problems(given: Any, path: tuple[str, ...] = (), *, leave: str | None = None) -> list[Problem]:
    """Return the unreadable values of an input as problems, with their paths. Descriptive fields are left out.

    ``leave`` names a field of the input that is not searched: the items of a batch.
    """
    problems: list[Problem] = []
    _add_problems(given, path, leave, problems)
    return list(dict.fromkeys(problems))


def _add_problems(given: Any, path: tuple[str, ...], leave: str | None, problems: list[Problem]) -> None:
    """Add the unreadable values in a value to ``problems``."""
    if isinstance(given, UnreadableValue):
        problems.append(Problem(path[: len(path) - given.above], given.reason))
        return
    for name, value in _list_parts(given):
        if name != leave and not isinstance(value, _PLAIN):
            _add_problems(value, (*path, name), None, problems)


def _list_parts(given: Any) -> Iterable[tuple[str, Any]]:
    """Return the parts of a value that are searched, by their names or positions."""
    names = _field_names(cast("Hashable", type(given)))
    if names is not None:
        return [(name, getattr(given, name)) for name in names]
    if isinstance(given, list):
        return [(str(position), item) for position, item in enumerate(given) if not isinstance(item, _PLAIN)]
    if isinstance(given, Mapping):
        return [(str(name), value) for name, value in given.items()]
    return ()


@cache
def _field_names(kind: Any) -> tuple[str, ...] | None:
    """Return the fields of an input that are searched; None for a class that is no input."""
    if not is_dataclass(kind):
        return None
    return tuple(item.name for item in fields(kind) if not item.metadata.get("descriptive"))


def refuse_unreadable_arguments(schema: GraphQLSchema) -> None:
    """Let every field except mutations refuse unreadable arguments before its resolver runs.

    A mutation refuses them in its ``userErrors``, by `guarded`.
    """
    for name, type_ in schema.type_map.items():
        if isinstance(type_, GraphQLObjectType) and name != MUTATION:
            for field in type_.fields.values():
                leave = _find_batch(field)
                if field.args and field.subscribe is not None:
                    field.subscribe = _strict(field.subscribe, leave)
                elif field.args and field.resolve is not None:
                    field.resolve = _strict(field.resolve, leave)


def _find_batch(field: GraphQLField) -> str | None:
    """Return the name of the argument whose items the field searches itself."""
    metadata = getattr(field.extensions.get("strawberry-definition"), "metadata", {})
    batch: str | None = metadata.get(BATCH)
    return None if batch is None else to_camel_case(batch)


def _strict(resolve: Callable[..., Any], leave: str | None) -> Callable[..., Any]:
    def refuse_or_resolve(source: Any, info: Any, **arguments: Any) -> Any:
        problems = unreadable_problems(arguments, leave=leave)
        if problems:
            raise InvalidInput(problems)
        return resolve(source, info, **arguments)

    return refuse_or_resolve
