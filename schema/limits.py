"""The limits of a document.

Depth, aliases and cost are measured in one pass, with the measure of each fragment remembered. A fragment is measured
once even if it is spread often. So 90 fragments that each spread the next one twice cost 180 steps and not 2⁹⁰. The
parts of the text are counted earlier, while `schema/parsing.py` reads it.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import ceil
from typing import Any, NamedTuple, cast

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_introspection_type,
    is_list_type,
    parse,
)
from graphql.type import GraphQLCompositeType, GraphQLField

from schema.introspection import INTROSPECTION_COST, USUAL_QUERY, introspection_sizes
from schema.masking import ErrorCode

MAX_DOCUMENT_LENGTH = 65_536
"""Characters of a document. Send values in variables: only the size of the body limits them."""

MAX_LINES = 4_000
"""Lines of a document."""

MAX_TOKENS = 2_000
"""Words, numbers, texts and signs in a document, without comments."""

MAX_DEFINITIONS = 100
"""Operations and fragments in a document."""

MAX_SELECTIONS = 1_000
"""Fields, fragment spreads and inline fragments in a document, each where it is written."""

MAX_DIRECTIVES = 100
"""Uses of directives in a document."""

MAX_VARIABLES = 100
"""Variables that the operations of a document declare."""

MAX_VALUES = 300
"""Values in the text of a document: of arguments, of input fields and in lists, each counted where it stands."""

MAX_DEPTH = 20
"""Fields inside fields. The usual introspection query needs 15."""

MAX_ALIASES = 50
"""Aliased fields in one operation, with fragments written out."""

MAX_COST = 20_000
"""The cost of the largest answer of an operation, about a second of work: fields, and reads of the database."""

QUESTION_COST = 20
"""The cost of a field that reads the database by itself: each field with arguments, and each `totalCount`."""

WRITE_COST = 50
"""The cost of a mutation: it locks, decides and writes."""

LEDGER_VERIFICATION_COST = 15_000
"""The cost of `ledgerVerification`, which reads the whole ledger. An operation may ask for it once."""

DAILY_FIGURES_COST = 2_000
"""The cost of `Report.daily`: up to 366 days, more than a list without page arguments usually has."""

DEAR_FIELDS = {
    ("Query", "ledgerVerification"): LEDGER_VERIFICATION_COST,
    ("Report", "daily"): DAILY_FIGURES_COST,
}
"""Fields with much more work than one read of the database."""

MAX_NESTING = 150
"""Braces inside braces, with fragments written out: fields and inline fragments count."""

MAX_PAGE_SIZE = 100
DEFAULT_PAGE_SIZE = 20
UNPAGED_LIST_SIZE = 10
"""The assumed number of items in a list without page arguments."""

PAGE_ARGUMENTS = ("first", "last")
INTROSPECTION_FIELDS = frozenset({"__schema", "__type"})
CONNECTION_SUFFIX = ("Connection", "EventPage")
ITEM_FIELDS = frozenset({"nodes", "edges"})
"""The fields of a connection with one value for each item of the page. Its other fields have one value."""

COUNTING_FIELDS = frozenset({"totalCount", "totalCountIsExact"})
_COUNT_LIMIT = 10**9
"""Counting stops at this number. It is beyond every limit, and small enough for quick arithmetic."""


class Measure(NamedTuple):
    """The size of a selection, as the limits count it. Inside introspection the cost may be a fraction.

    `once` is the cost of a connection's fields that do not grow with its page; `cost` leaves them out.
    """

    depth: int
    aliases: int
    cost: float
    once: float = 0


_NOTHING = Measure(0, 0, 0)


class _Measuring:
    """One pass over a document.

    `variables` holds the sizes of page variables. A variable that is missing there counts 100.
    """

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, int]) -> None:
        self.schema = schema
        self.variables = variables
        self.page_variables: set[str] = set()
        self.visited = 0
        self.fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self.memo: dict[str, Measure] = {}
        self._nestings: dict[str, int] = {}
        for name in self._leaves_first():
            fragment = self.fragments[name]
            type_name = fragment.type_condition.name.value
            self.memo[name] = self.selection_set(fragment.selection_set, self._composite(type_name))
            self._nestings[name] = self.nesting(fragment.selection_set)

    def _leaves_first(self) -> list[str]:
        """Return the fragments, each after those that it spreads. A spread that closes a cycle is left out."""
        spreads = {name: self._spread_names(fragment) for name, fragment in self.fragments.items()}
        ordered: list[str] = []
        state: dict[str, bool] = {}
        for root in self.fragments:
            stack = [root]
            while stack:
                name = stack[-1]
                if name not in state:
                    state[name] = False
                    stack.extend(other for other in spreads[name] if other in self.fragments and other not in state)
                    continue
                stack.pop()
                if not state[name]:
                    state[name] = True
                    ordered.append(name)
        return ordered

    def _spread_names(self, fragment: FragmentDefinitionNode) -> list[str]:
        names: list[str] = []
        stack = [fragment.selection_set]
        while stack:
            for selection in stack.pop().selections:
                self.visited += 1
                if isinstance(selection, FragmentSpreadNode):
                    names.append(selection.name.value)
                elif isinstance(selection, FieldNode | InlineFragmentNode) and selection.selection_set is not None:
                    stack.append(selection.selection_set)
        return names

    def nesting(self, node: SelectionSetNode) -> int:
        """Return how many selection sets are inside each other, with this one and with fragments written out."""
        deepest = 1
        stack = [(node, 1)]
        while stack:
            selection_set, depth = stack.pop()
            for selection in selection_set.selections:
                if isinstance(selection, FragmentSpreadNode):
                    deepest = max(deepest, depth + self._nestings.get(selection.name.value, 0))
                elif isinstance(selection, FieldNode | InlineFragmentNode) and selection.selection_set is not None:
                    deepest = max(deepest, depth + 1)
                    stack.append((selection.selection_set, depth + 1))
        return deepest

    def _composite(self, name: str) -> GraphQLCompositeType | None:
        type_ = self.schema.get_type(name)
        return type_ if is_composite_type(type_) else None

    def selection_set(self, node: SelectionSetNode | None, parent: GraphQLCompositeType | None) -> Measure:
        """Return the measure of a selection on a type; None for an unknown type, which another rule reports."""
        if node is None:
            return _NOTHING
        depth = aliases = 0
        cost: float = 0
        once: float = 0
        for selection in node.selections:
            self.visited += 1
            if isinstance(selection, FieldNode):
                part = self.field(selection, parent)
            elif isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                inside = parent if condition is None else self._composite(condition.name.value)
                part = self.selection_set(selection.selection_set, inside)
            elif isinstance(selection, FragmentSpreadNode):
                part = self.memo.get(selection.name.value, _NOTHING)
            else:
                part = _NOTHING
            depth = max(depth, part.depth)
            aliases += part.aliases
            cost += part.cost
            once += part.once
        return Measure(depth, min(aliases, _COUNT_LIMIT), min(cost, _COUNT_LIMIT), min(once, _COUNT_LIMIT))

    def field(self, node: FieldNode, parent: GraphQLCompositeType | None) -> Measure:
        """Return the measure of one field with all fields below it."""
        definition = None if parent is None else self.schema.get_field(parent, node.name.value)
        below = get_named_type(definition.type) if definition is not None else None
        inside = self.selection_set(node.selection_set, below if is_composite_type(below) else None)
        aliases = inside.aliases + (1 if node.alias is not None else 0)
        cost = min(inside.once + self._cost(node, parent, definition, inside.cost), _COUNT_LIMIT)
        if parent is not None and parent.name.endswith(CONNECTION_SUFFIX) and node.name.value not in ITEM_FIELDS:
            return Measure(inside.depth + 1, aliases, 0, cost)
        return Measure(inside.depth + 1, aliases, cost)

    def _cost(
        self,
        node: FieldNode,
        parent: GraphQLCompositeType | None,
        definition: GraphQLField | None,
        inside: float,
    ) -> float:
        """Return the cost of a field with all fields below it; `inside` is the cost of one item."""
        name = node.name.value
        if definition is None or parent is None:
            return 1 + (self._page_size(node, definition) or 1) * inside
        if is_introspection_type(parent):
            return 1 + introspection_sizes(self.schema).lists.get((parent.name, name), 1) * inside
        if name in INTROSPECTION_FIELDS:
            types = introspection_sizes(self.schema).one_type if name == "__type" else 1
            return ceil(1 + types * inside * INTROSPECTION_COST / _usual_introspection(self.schema))
        size = self._page_size(node, definition)
        if size is None:
            size = self._list_size(definition, parent)
        own = QUESTION_COST if definition.args or name in COUNTING_FIELDS else 1
        if parent is self.schema.mutation_type:
            own = WRITE_COST
        return DEAR_FIELDS.get((parent.name, name), own) + size * inside

    def _page_size(self, node: FieldNode, definition: GraphQLField | None) -> int | None:
        """Return the number of items that the field's page may hold; None for a field without page arguments."""
        sizes = [
            self._argument_size(argument.value)
            for argument in node.arguments or ()
            if argument.name.value in PAGE_ARGUMENTS
        ]
        if sizes:
            return max(sizes)
        if definition is not None and any(name in definition.args for name in PAGE_ARGUMENTS):
            return DEFAULT_PAGE_SIZE
        return None

    def _argument_size(self, value: ValueNode) -> int:
        if isinstance(value, VariableNode):
            self.page_variables.add(value.name.value)
            return self.variables.get(value.name.value, MAX_PAGE_SIZE)
        if isinstance(value, IntValueNode) and len(value.value) <= len(str(MAX_PAGE_SIZE)):
            return _clamp(int(value.value))
        return MAX_PAGE_SIZE if isinstance(value, IntValueNode) else DEFAULT_PAGE_SIZE

    def _list_size(self, definition: GraphQLField, parent: GraphQLCompositeType) -> int:
        """Return the number of items of a list without page arguments; 1 for no list, and inside a connection.

        The field that holds the connection has already counted its items.
        """
        is_list = is_list_type(get_nullable_type(definition.type))
        return UNPAGED_LIST_SIZE if is_list and not parent.name.endswith(CONNECTION_SUFFIX) else 1


@lru_cache(maxsize=8)
def _usual_introspection(schema: GraphQLSchema) -> float:
    """Measure the selection below `__schema` in the usual introspection query, with the sizes of this schema."""
    document = parse(USUAL_QUERY)
    root = operations_of(document)[0].selection_set.selections[0]
    below = root.selection_set if isinstance(root, FieldNode) else None
    schema_type = schema.type_map["__Schema"]
    return _Measuring(schema, document, {}).selection_set(below, cast("GraphQLCompositeType", schema_type)).cost


def _clamp(size: int) -> int:
    return max(1, min(size, MAX_PAGE_SIZE))


def operations_of(document: DocumentNode) -> list[OperationDefinitionNode]:
    """Return the operations of a document, without its fragments."""
    return [definition for definition in document.definitions if isinstance(definition, OperationDefinitionNode)]


def name_of(operation: OperationDefinitionNode) -> str | None:
    """Return the name of an operation; None if it has none."""
    return None if operation.name is None else operation.name.value


def _default_sizes(operation: OperationDefinitionNode) -> dict[str, int]:
    """Return the sizes of the operation's variables by their defaults.

    A variable without a default is missing: it counts 100.
    """
    return {
        definition.variable.name.value: _clamp(int(definition.default_value.value))
        for definition in operation.variable_definitions or ()
        if isinstance(definition.default_value, IntValueNode)
        and len(definition.default_value.value) <= len(str(MAX_PAGE_SIZE))
    }


class Measured(NamedTuple):
    """The measures of operations in the given order, and the number of steps of the pass.

    `nestings` are the depths of braces inside braces. `page_variables` are the variables that set the size of a page.
    """

    measures: tuple[Measure, ...]
    visited: int
    nestings: tuple[int, ...]
    page_variables: frozenset[str] = frozenset()


def measure_operations(
    schema: GraphQLSchema,
    document: DocumentNode,
    operations: Sequence[OperationDefinitionNode],
    variables: Mapping[str, Any] | None = None,
) -> Measured:
    """Measure depth, aliases and cost of operations of one document.

    Variables count with their sent values, or else with their defaults. All operations share one pass: a variable of
    several operations counts with the largest of its defaults.
    """
    measuring = _Measuring(schema, document, _sizes(operations, variables or {}))
    measures = tuple(
        measuring.selection_set(operation.selection_set, schema.get_root_type(operation.operation))
        for operation in operations
    )
    nestings = tuple(measuring.nesting(operation.selection_set) for operation in operations)
    return Measured(measures, measuring.visited, nestings, frozenset(measuring.page_variables))


def _sizes(operations: Sequence[OperationDefinitionNode], variables: Mapping[str, Any]) -> dict[str, int]:
    """Return the size of each page variable. A missing one counts `MAX_PAGE_SIZE`."""
    sizes: dict[str, int] = {}
    for operation in operations:
        defaults = _default_sizes(operation)
        for definition in operation.variable_definitions or ():
            name = definition.variable.name.value
            sizes[name] = max(sizes.get(name, 1), defaults.get(name, MAX_PAGE_SIZE))
    return sizes | {
        name: _clamp(value) for name, value in variables.items() if name in sizes and isinstance(value, int)
    }


def describe_excess(measure: Measure) -> str | None:
    """Return the limit that a measure exceeds, as a sentence with advice; None if it is within all limits."""
    if measure.depth > MAX_DEPTH:
        return f"The operation is {measure.depth} fields deep; at most {MAX_DEPTH} are allowed."
    if measure.aliases > MAX_ALIASES:
        return f"The operation uses more than {MAX_ALIASES} aliases, fragments written out."
    if measure.cost > MAX_COST:
        return (
            f"The operation costs {round(measure.cost)}; at most {MAX_COST} are allowed. A field costs 1, one that "
            f"asks the database by itself {QUESTION_COST}, a mutation {WRITE_COST}, and what is below a list as often "
            "as the list may have items. Ask for fewer fields or smaller pages, and give page-size variables a "
            "default: one without counts as 100."
        )
    return None


def find_excess(schema: GraphQLSchema, document: DocumentNode) -> list[GraphQLError]:
    """Return an error for each operation above a limit. All operations share one pass."""
    operations = operations_of(document)
    measured = measure_operations(schema, document, operations)
    errors = []
    for operation, measure, nesting in zip(operations, measured.measures, measured.nestings, strict=True):
        problem = describe_excess(measure)
        if nesting > MAX_NESTING:
            problem = f"The operation nests its selections {nesting} levels deep; at most {MAX_NESTING} are allowed."
        if problem is not None:
            code = {"code": ErrorCode.QUERY_TOO_COMPLEX.value}
            errors.append(GraphQLError(problem, nodes=[operation], extensions=code))
    return errors
