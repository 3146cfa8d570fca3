"""Read the arguments of a field once for all its rows. Arguments without variables are read once for all operations."""

from collections.abc import Mapping
from typing import Any

from graphql import FieldNode, GraphQLField
from graphql.execution.values import VariableValues, get_argument_values

from execution.syntax import has_variables


class ArgumentReader:
    """Reads the arguments of one field node, with graphql-core's own function."""

    __slots__ = ("_constant", "_definition", "_node")

    def __init__(self, definition: GraphQLField, node: FieldNode) -> None:
        self._definition = definition
        self._node = node
        self._constant = self._read_constants()

    def read(self, variables: VariableValues) -> Mapping[str, Any]:
        """Return the values by the resolver's names for them.

        Raises graphql-core's error for a value that cannot be read.
        """
        if self._constant is not None:
            return self._constant
        return get_argument_values(self._definition, self._node, variables, None, hide_suggestions=True)

    def _read_constants(self) -> dict[str, Any] | None:
        if any(has_variables(argument.value) for argument in self._node.arguments or ()):
            return None
        try:
            return get_argument_values(self._definition, self._node, None, None, hide_suggestions=True)
        except Exception:  # noqa: BLE001 - it is raised again where it belongs, by each operation
            return None
