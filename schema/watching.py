"""What is noted of an operation for those who watch: its kind, its root fields, what it cost, and how it ended.

Nothing of it comes from the caller but the choice among the root fields of our schema: no name, no argument, no value.
"""

import enum
from collections.abc import Sequence
from typing import Protocol

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
)

UNREAD = "unread"
"""The kind of an operation whose document could not be used."""


class Operation:
    """What is known of one operation while it lasts."""

    __slots__ = ("cost", "fields", "is_over_budget", "kind", "transport")

    def __init__(self, transport: str = "http") -> None:
        self.transport = transport
        self.kind = UNREAD
        """`query`, `mutation` or `subscription`, once the document is read."""
        self.fields: Sequence[str] = ()
        """Its root fields, each once."""
        self.cost: int | None = None
        """The points that it costs, once that is known."""
        self.is_over_budget = False
        """Whether it was refused because too little of a budget is left."""

    def begin(self, kind: str, fields: Sequence[str]) -> None:
        """The document is valid: from here on the operation runs, unless its budget says otherwise."""
        self.kind = kind
        self.fields = fields


class Outcome(enum.StrEnum):
    """How an operation ended."""

    DONE = "done"
    """Without a top-level error. Refusals in `userErrors` are answers, too."""
    FAILED = "failed"
    """It ran, and its last result carried a top-level error."""
    REFUSED = "refused"
    """It did not run."""


class OperationWatch(Protocol):
    """Somebody who is told of every operation."""

    def note_errors(self, errors: Sequence[GraphQLError]) -> None:
        """Note the top-level errors of a result, as the caller sees them."""

    def note_operation(self, operation: Operation, outcome: Outcome, seconds: float) -> None:
        """Note an operation once it has been answered, or its stream is over."""


def find_root_fields(document: DocumentNode, operation: OperationDefinitionNode) -> tuple[str, ...]:
    """The root fields of an operation of a valid document, each once, in the order of their names."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    found, seen = set[str](), set[str]()
    waiting = [*operation.selection_set.selections]
    while waiting:
        selection = waiting.pop()
        if isinstance(selection, FieldNode):
            found.add(selection.name.value)
        elif isinstance(selection, InlineFragmentNode):
            waiting += selection.selection_set.selections
        elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in seen:
            seen.add(selection.name.value)
            waiting += fragments[selection.name.value].selection_set.selections
    return tuple(sorted(found))
