"""Facts about an operation for metrics and traces: its kind, its root fields, its cost, and its outcome.

From the caller they hold only the operation's name and its choice among the root fields: no argument, no value. The
name is for traces, never for the label of a metric.
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
"""The number of characters of an operation's name. A longer name is left out."""

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
        """The name that the caller gave it, if it is short."""
        self.fields: Sequence[str] = ()
        """Its root fields, each once."""
        self.cost: int | None = None
        """Its cost in points of cost, after it is known."""
        self.is_over_budget = False
        """Whether it was refused because the budget has too little left."""
        self.span: Span | None = None
        """Its span, if there is a tracer."""

    def begin(self, kind: str, fields: Sequence[str], name: str | None = None) -> None:
        """Note the facts of a valid document. From here on the operation runs, unless its budget refuses it."""
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
    """An object that is called for every operation."""

    def note_errors(self, errors: Sequence[GraphQLError]) -> None:
        """Note the top-level errors of a result, as the caller sees them."""

    def note_operation(self, operation: Operation, outcome: Outcome, seconds: float) -> None:
        """Note an operation after its answer, or after the end of its stream."""


def find_root_fields(document: DocumentNode, operation: OperationDefinitionNode) -> tuple[str, ...]:
    """Return the root fields of an operation of a valid document, each once, in the order of their names."""
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
