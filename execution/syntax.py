"""Read from a syntax tree whether and how it is planned."""

from collections.abc import Iterator
from typing import NamedTuple

from graphql import (
    DirectiveNode,
    DocumentNode,
    FragmentDefinitionNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
)

SELECTING = frozenset({"skip", "include"})
"""The directives that change the selection: a document has one plan for each set of their values."""


class Outline(NamedTuple):
    """The facts that decide about plans: the variables of @skip and @include, and whether the document is unusual."""

    switches: tuple[str, ...]
    is_usual: bool


def has_variables(value: ValueNode) -> bool:
    """Return whether a value holds a variable, at any depth."""
    if isinstance(value, VariableNode):
        return True
    if isinstance(value, ListValueNode):
        return any(map(has_variables, value.values))
    if isinstance(value, ObjectValueNode):
        return any(has_variables(field.value) for field in value.fields)
    return False


def read_outline(document: DocumentNode) -> Outline:
    """Read from a document the facts that decide about its plans."""
    switches: set[str] = set()
    is_usual = True
    for node in _walk(document):
        for directive in getattr(node, "directives", None) or ():
            is_usual = is_usual and directive.name.value in SELECTING
            switches |= _switches(directive)
    return Outline(tuple(sorted(switches)), is_usual)


def _walk(document: DocumentNode) -> Iterator[object]:
    """Yield all operations, fragments and selections of a document."""
    stack: list[SelectionSetNode] = []
    for definition in document.definitions:
        yield definition
        if isinstance(definition, OperationDefinitionNode | FragmentDefinitionNode):
            stack.append(definition.selection_set)
    while stack:
        for selection in stack.pop().selections:
            yield selection
            inside = getattr(selection, "selection_set", None)
            if inside is not None:
                stack.append(inside)


def _switches(directive: DirectiveNode) -> set[str]:
    return {
        argument.value.name.value for argument in directive.arguments or () if isinstance(argument.value, VariableNode)
    }
