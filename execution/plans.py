"""Plans: how one document is answered.

A plan is made once for each set of values of @skip and @include, and kept with the document.
graphql-core's own `collect_fields` merges the selections, so it decides about aliases, fragments and type conditions. A
selection below an interface or union is planned when the first object of a type appears.
"""

from collections.abc import Callable, Mapping
from typing import Any

import structlog
from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLLeafType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    OperationType,
    is_abstract_type,
    is_leaf_type,
)
from graphql.execution.collect_fields import FieldDetails, collect_fields, collect_subfields
from graphql.execution.executor import Executor

from execution.arguments import ArgumentReader
from execution.columns import LeafColumns, find_columns
from execution.failures import locate_failures
from execution.places import FAILED, ROOT
from execution.resolvers import choose_resolver
from execution.running import Run
from execution.selections import PlannedField, Selection
from execution.shapes import Abstract, Leaf, List, Object, RuntimeTypes, Shape
from execution.syntax import read_outline

MAX_VARIANTS = 16
"""The number of plans of one document that are kept: each variable in @skip or @include may double them. A further plan
is made for one operation only."""

PLANNED_FIELD_BYTES = 700
"""The approximate memory of one field of a plan."""

log: structlog.stdlib.BoundLogger = structlog.get_logger("execution")


class Planner:
    """The parts that all plans of a schema share. ``columns`` are those of the schema's own scalars, by their names."""

    def __init__(self, schema: GraphQLSchema, columns: Mapping[str, LeafColumns] | None = None) -> None:
        self.schema = schema
        self.types = RuntimeTypes()
        self._given = dict(columns or {})
        self._columns: dict[str, LeafColumns] = {}

    def find_columns(self, leaf: GraphQLLeafType) -> LeafColumns:
        """Return the columns of a scalar or enum."""
        found = self._columns.get(leaf.name)
        if found is None:
            found = self._columns[leaf.name] = find_columns(leaf, self._given)
        return found


class Plan:
    """How one operation is answered, for one set of values of its @skip and @include."""

    def __init__(self, planner: Planner, core: Executor[Any], on_growth: Callable[[int], None]) -> None:
        self._planner = planner
        self._on_growth = on_growth
        self._selections: dict[tuple[str, tuple[int, ...]], Selection] = {}
        operation = core.operation
        root = planner.schema.get_root_type(operation.operation)
        if root is None:
            raise LookupError(f"the schema has no {operation.operation.value}")
        self.is_serial = operation.operation is OperationType.MUTATION
        fields = collect_fields(planner.schema, core.fragments, core.variable_values, root, operation, True)
        self.root = self._plan_fields(core, root, fields.grouped_field_set)

    async def run(self, core: Executor[Any]) -> ExecutionResult:
        """Run the operation. Errors of resolvers are in the result; only a bug of this package is raised."""
        run = Run(core, self)
        if self.is_serial:
            data = await self.root.complete_serially(run, core.root_value, ROOT)
        else:
            (data,) = await self.root.complete(run, [core.root_value], ROOT)
        errors = await locate_failures(run.failures, run.pace) if run.failures else None
        return ExecutionResult(None if data is FAILED else data, errors)

    def select(self, core: Executor[Any], type_: GraphQLObjectType, details: list[FieldDetails]) -> Selection:
        """Return the selection of an object type for some field nodes. It is planned at the first call."""
        key = (type_.name, tuple(id(detail.node) for detail in details))
        found = self._selections.get(key)
        if found is None:
            fields = collect_subfields(
                self._planner.schema, core.fragments, core.variable_values, core.operation, type_, details, True
            )
            found = self._plan_fields(core, type_, fields.grouped_field_set)
            self._selections[key] = found
        return found

    def _plan_fields(
        self, core: Executor[Any], type_: GraphQLObjectType, grouped: Mapping[str, list[FieldDetails]]
    ) -> Selection:
        """Plan the fields of one object type. A field that the type does not have is left out, as in graphql-core."""
        fields = []
        for key, details in grouped.items():
            nodes = [detail.node for detail in details]
            name = nodes[0].name.value
            definition = self._planner.schema.get_field(type_, name)
            if definition is None:
                continue
            shape = self._shape(core, definition.type, details)
            resolver = choose_resolver(type_, definition, name)
            arguments = ArgumentReader(definition, nodes[0]) if definition.args or nodes[0].arguments else None
            fields.append(PlannedField(key, nodes, type_, definition, resolver, shape, arguments))
        self._on_growth(PLANNED_FIELD_BYTES * (1 + len(fields)))
        return Selection(fields)

    def _shape(self, core: Executor[Any], type_: GraphQLOutputType, details: list[FieldDetails]) -> Shape:
        """Return the shape of a field's type, with its selection planned below it."""
        nullable = not isinstance(type_, GraphQLNonNull)
        bare: Any = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
        planner = self._planner
        if isinstance(bare, GraphQLList):
            return List(self._shape(core, bare.of_type, details), nullable=nullable)
        if is_leaf_type(bare):
            return Leaf(bare, planner.find_columns(bare), nullable=nullable)
        if is_abstract_type(bare):
            return Abstract(bare, details, planner.types, nullable=nullable)
        accepted = planner.types.list_accepted_classes(bare)
        return Object(bare, self.select(core, bare, details), details, accepted, nullable=nullable)


def _grow_unnoticed(_size: int) -> None:
    """Do nothing: a plan that is not kept needs no memory."""


class Plans:
    """The plans of one document.

    ``on_growth`` is called with the approximate bytes of a new plan or of a new part of one.
    """

    def __init__(self, planner: Planner, document: DocumentNode, on_growth: Callable[[int], None]) -> None:
        self._planner = planner
        self._on_growth = on_growth
        self._switches, self._may_be_planned = read_outline(document)
        self._variants: dict[tuple[object, ...], Plan] = {}

    def find(self, core: Executor[Any]) -> Plan | None:
        """Return the plan for an operation with its variables; None if the operation must run without a plan."""
        if not self._may_be_planned:
            return None
        values = core.variable_values.coerced
        key = (id(core.operation), *[values.get(name) for name in self._switches])
        plan = self._variants.get(key)
        if plan is not None:
            return plan
        if any(name in values and not isinstance(values[name], bool) for name in self._switches):
            return None
        is_kept = len(self._variants) < MAX_VARIANTS
        plan = self._make(core, self._on_growth if is_kept else _grow_unnoticed)
        if plan is not None and is_kept:
            self._variants[key] = plan
        return plan

    def _make(self, core: Executor[Any], on_growth: Callable[[int], None]) -> Plan | None:
        """Make a plan; None if the document cannot be planned. Then its operations run without plans."""
        try:
            return Plan(self._planner, core, on_growth)
        except RecursionError:
            self._may_be_planned = False
            return None
        except Exception:
            # Nothing ran yet, so graphql-core still can answer, and writes the error if there is one.
            self._may_be_planned = False
            log.exception("a document could not be planned")
            return None
