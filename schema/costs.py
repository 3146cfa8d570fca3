"""What an operation costs, known before it runs: by its document, its page sizes and the values of its variables.

The same operation is sent again and again, so what was measured is kept with its document.
"""

from collections.abc import Mapping
from math import ceil
from typing import Any

from graphql import DocumentNode, GraphQLError, GraphQLSchema, OperationDefinitionNode

from schema.limits import MAX_COST, excess, measure_operations, operations_of
from schema.masking import ErrorCode, refusal

VALUES_PER_POINT = 5
"""Values in the variables that cost one point together: so a batch costs more than one item."""

MAX_KEPT_COSTS = 50
"""Combinations of page sizes whose cost is kept with a document."""

MAX_OPERATION_COST = MAX_COST
"""What an operation takes from a budget at most, values of variables included."""

_Sizes = tuple[str | None, tuple[Any, ...]]


class Costs:
    """The costs of the operations of one document."""

    __slots__ = ("_document", "_kept", "_names", "_schema")

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self._schema = schema
        self._document = document
        self._names: dict[str | None, tuple[str, ...]] = {}
        self._kept: dict[_Sizes, int | GraphQLError] = {}

    def find(self, operation_name: str | None, variables: Mapping[str, Any] | None, values: int) -> int | GraphQLError:
        """The cost of an operation in points, whole; QUERY_TOO_COMPLEX where page sizes make it too dear.

        `values` are the values in its variables.
        """
        sent = variables or {}
        names = self._names.get(operation_name)
        if names is None:
            names = self._find_names(operation_name)
        sizes = (operation_name, tuple([sent.get(name) for name in names]) if names else ())
        cost = self._find_kept(sizes)
        if cost is None:
            cost = self._measure(operation_name, sent)
            if len(self._kept) < MAX_KEPT_COSTS and all(value is None or type(value) is int for value in sizes[1]):
                self._kept[sizes] = cost
        if isinstance(cost, GraphQLError):
            return cost
        return min(cost + values // VALUES_PER_POINT, MAX_OPERATION_COST)

    def _find_kept(self, sizes: _Sizes) -> int | GraphQLError | None:
        try:
            return self._kept.get(sizes)
        except TypeError:  # a list or an object, where a number belongs
            return None

    def _find_names(self, operation_name: str | None) -> tuple[str, ...]:
        """The variables of an operation that say how large a page is."""
        operation = self._find_operation(operation_name)
        measured = measure_operations(self._schema, self._document, [operation])
        names = self._names[operation_name] = tuple(sorted(measured.page_variables))
        return names

    def _find_operation(self, operation_name: str | None) -> OperationDefinitionNode:
        operations = operations_of(self._document)
        named = (one for one in operations if one.name is not None and one.name.value == operation_name)
        return next(named, operations[0])

    def _measure(self, operation_name: str | None, variables: Mapping[str, Any]) -> int | GraphQLError:
        operation = self._find_operation(operation_name)
        measure = measure_operations(self._schema, self._document, [operation], variables).measures[0]
        problem = excess(measure)
        return ceil(measure.cost) if problem is None else refusal(ErrorCode.QUERY_TOO_COMPLEX, problem)
