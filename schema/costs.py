"""The cost of an operation, known before it runs: from its document, its page sizes and the values of its variables.

The same operation is sent again and again, so its measured cost is kept with its document.
"""

from collections.abc import Mapping
from math import ceil
from typing import Any

from graphql import DocumentNode, GraphQLError, GraphQLSchema, OperationDefinitionNode

from schema.limits import MAX_COST, describe_excess, measure_operations, name_of
from schema.masking import ErrorCode, refusal
from schema.watching import find_root_fields

VALUES_PER_POINT = 5
"""So many values in the variables cost one point together. So a batch costs more than one item."""

MAX_KEPT_COSTS = 50
"""The number of combinations of page sizes whose cost is kept with a document."""

MAX_OPERATION_COST = MAX_COST
"""The largest cost of an operation, with the values of its variables."""

_Sizes = tuple[str | None, tuple[Any, ...]]


class Costs:
    """The costs of the operations of one document."""

    __slots__ = ("_document", "_fields", "_kept", "_page_variables", "_schema")

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._document = document
        self._page_variables: dict[str | None, tuple[str, ...]] = {}
        """The variables of each operation that set the size of a page, by the name of the operation."""
        self._kept: dict[_Sizes, int | GraphQLError] = {}
        self._fields: dict[str | None, tuple[str, ...]] = {}

    def find(
        self, operation: OperationDefinitionNode, variables: Mapping[str, Any] | None, values: int
    ) -> int | GraphQLError:
        """Return the cost of an operation in whole points.

        Returns QUERY_TOO_COMPLEX if its page sizes make it too large. `values` is the number of values in its
        variables.
        """
        sent = variables or {}
        name = name_of(operation)
        page_variables = self._page_variables.get(name)
        cost = None
        if page_variables is not None:
            cost = self._find_kept((name, tuple([sent.get(one) for one in page_variables])))
        if cost is None:
            cost = self._measure(operation, name, sent)
        if isinstance(cost, GraphQLError):
            return cost
        return min(cost + values // VALUES_PER_POINT, MAX_OPERATION_COST)

    def find_fields(self, operation: OperationDefinitionNode) -> tuple[str, ...]:
        """Return the root fields of an operation, each once, in the order of their names."""
        name = name_of(operation)
        fields = self._fields.get(name)
        if fields is None:
            fields = self._fields[name] = find_root_fields(self._document, operation)
        return fields

    def _find_kept(self, sizes: _Sizes) -> int | GraphQLError | None:
        try:
            return self._kept.get(sizes)
        except TypeError:  # a list or an object, where a number belongs
            return None

    def _measure(
        self, operation: OperationDefinitionNode, name: str | None, sent: Mapping[str, Any]
    ) -> int | GraphQLError:
        """Measure an operation, and keep its cost where its page sizes are whole numbers."""
        measured = measure_operations(self._schema, self._document, [operation], sent)
        page_variables = self._page_variables[name] = tuple(sorted(measured.page_variables))
        problem = describe_excess(measured.measures[0])
        cost = ceil(measured.measures[0].cost) if problem is None else refusal(ErrorCode.QUERY_TOO_COMPLEX, problem)
        sizes = tuple([sent.get(one) for one in page_variables])
        if len(self._kept) < MAX_KEPT_COSTS and all(size is None or type(size) is int for size in sizes):
            self._kept[name, sizes] = cost
        return cost
