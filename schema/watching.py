"""What is noted of an operation for those who watch: its kind, its root fields, what it cost, and how it ended.

Nothing of it comes from the caller but its name and the choice among the root fields of our schema: no argument, no
value. The name is for traces, never for the label of a metric.
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

from tenancy.tracing import Span

MAX_NAME_LENGTH = 80
"""Characters of the name of an operation; a longer name is not told to anybody."""

UNREAD = "unread"
"""The kind of an operation whose document could not be used."""


class Operation:
    """The known facts of one operation while it runs."""

    __slots__ = ("cost", "fields", "is_over_budget", "kind", "name", "span", "transport")

    def __init__(self, transport: str = "http") -> None:
        self.transport = transport
        self.kind = UNREAD
        """`query`, `mutation` or `subscription`, once the document is read."""
        self.name: str | None = None
        """What the caller calls it, where that is short."""
        self.fields: Sequence[str] = ()
        """Its root fields, each once."""
        self.cost: int | None = None
        """The points that it costs, once that is known."""
        self.is_over_budget = False
        """Whether it was refused because too little of a budget is left."""
        self.span: Span | None = None
        """Its part of a trace, where there is a tracer."""

    def begin(self, kind: str, fields: Sequence[str], name: str | None = None) -> None:
        """The document is valid: from here on the operation runs, unless its budget says otherwise."""
        self.kind = kind
        self.fields = fields
        self.name = name if name is not None and len(name) <= MAX_NAME_LENGTH else None


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
