"""Count the values in an operation's variables, and refuse too many, before any of them is read into input types.

Reading costs many times more than counting, and a mutation can refuse a batch only after all of it has been read.
"""

from collections.abc import Mapping
from typing import Any

from graphql import GraphQLError

from schema.masking import ErrorCode, refusal

MAX_LIST_LENGTH = 2_000
"""Entries of one list in the variables. Mutations take at most 1,000 items; they refuse more by themselves up to
here."""

MAX_VARIABLE_VALUES = 75_000
"""Values in the variables of an operation: numbers, texts, lists, objects, each where it stands."""

MAX_VARIABLE_NESTING = 20
"""Lists and objects inside each other, in the variables."""

MAX_PATH_PART = 40
"""Characters of a name that the error repeats."""

Path = tuple[str | int, ...]
_CONTAINERS = frozenset({list, dict})


def find_variable_excess(variables: Mapping[str, Any] | None) -> GraphQLError | None:
    """Return the error for variables that hold too much, with the path of the large value; None within the limits."""
    counted = count_values(variables)
    return counted if isinstance(counted, GraphQLError) else None


def count_values(variables: Mapping[str, Any] | None) -> int | GraphQLError:
    """Return how many values the variables hold, or the error for too many, with the path of the large value.

    The number is a part of the cost that is charged for the operation.
    """
    counted = 0
    waiting: list[tuple[Any, Path]] = [(variables or {}, ())]
    while waiting:
        value, path = waiting.pop()
        is_list = type(value) is list
        counted += len(value)
        if is_list and len(value) > MAX_LIST_LENGTH:
            return _excess(path, f"has {len(value)} entries; at most {MAX_LIST_LENGTH} are allowed")
        if counted > MAX_VARIABLE_VALUES:
            return _excess(path, f"is too much: all variables together may hold {MAX_VARIABLE_VALUES} values")
        if len(path) > MAX_VARIABLE_NESTING:
            return _excess(path, f"is nested more than {MAX_VARIABLE_NESTING} levels deep")
        entries = enumerate(value) if is_list else value.items()
        waiting.extend((entry, (*path, name)) for name, entry in entries if type(entry) in _CONTAINERS)
    return counted


def _excess(path: Path, reason: str) -> GraphQLError:
    shown = [str(part)[:MAX_PATH_PART] for part in path]
    message = f"variables.{'.'.join(shown)}".removesuffix(".") + f" {reason}. Send less in one operation."
    return refusal(ErrorCode.QUERY_TOO_COMPLEX, message, path=shown)
