"""What a document may ask for: depth, aliases and cost, measured in one linear pass with a memo per fragment.

A fragment is measured once however often it is spread, so 300 fragments that each spread the next one twice cost 300
steps and not 2³⁰⁰. The rules are module-level classes: a class made per call would never hit the validation cache.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

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
    StringValueNode,
    ValidationRule,
    ValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_composite_type,
    is_introspection_type,
    is_list_type,
)
from graphql.type import GraphQLCompositeType, GraphQLField

from schema.masking import ErrorCode, refusal

MAX_DEPTH = 20
"""Fields inside fields. The usual introspection query needs 15."""

MAX_ALIASES = 50
"""Aliased fields in one operation, with fragments written out."""

MAX_COST = 20_000
"""Fields in the largest answer an operation can have; about a third of a second of work."""

LEDGER_VERIFICATION_COST = 15_000
"""What `ledgerVerification` counts for, which reads the whole ledger: an operation may ask for it once."""

DEAR_FIELDS = {("Query", "ledgerVerification"): LEDGER_VERIFICATION_COST}
"""Fields that take much more work than reading a row; every other one counts 1."""

MAX_TOKENS = 2_000
"""Words, numbers and signs in a document."""

MAX_PAGE_SIZE = 100
DEFAULT_PAGE_SIZE = 20
UNPAGED_LIST_SIZE = 10
"""What a list without page arguments is taken to hold."""

PAGE_ARGUMENTS = ("first", "last")
CONNECTION_SUFFIX = ("Connection", "EventPage")
_COUNT_LIMIT = 10**9
"""Where counting stops growing: beyond every limit, and small enough to stay cheap."""


class Measure(NamedTuple):
    """How large a selection is, as the limits count it."""

    depth: int
    aliases: int
    cost: int


_NOTHING = Measure(0, 0, 0)


class _Measuring:
    """One pass over a document.

    `variables` holds what page variables count for; a variable missing there counts 100.
    """

    def __init__(self, schema: GraphQLSchema, document: DocumentNode, variables: Mapping[str, int]) -> None:
        self.schema = schema
        self.variables = variables
        self.visited = 0
        self.fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self.memo: dict[str, Measure] = {}
        for name in self._leaves_first():
            fragment = self.fragments[name]
            type_name = fragment.type_condition.name.value
            self.memo[name] = self.selection_set(fragment.selection_set, self._composite(type_name))

    def _leaves_first(self) -> list[str]:
        """The fragments so that each comes after those it spreads; a spread that closes a cycle is left out."""
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

    def _composite(self, name: str) -> GraphQLCompositeType | None:
        type_ = self.schema.get_type(name)
        return type_ if is_composite_type(type_) else None

    def selection_set(self, node: SelectionSetNode | None, parent: GraphQLCompositeType | None) -> Measure:
        """The measure of a selection on a type; None for a type that does not exist, which another rule reports."""
        if node is None:
            return _NOTHING
        depth = aliases = cost = 0
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
        return Measure(depth, min(aliases, _COUNT_LIMIT), min(cost, _COUNT_LIMIT))

    def field(self, node: FieldNode, parent: GraphQLCompositeType | None) -> Measure:
        """The measure of one field with all that is below it."""
        definition = None if parent is None else self.schema.get_field(parent, node.name.value)
        below = get_named_type(definition.type) if definition is not None else None
        inside = self.selection_set(node.selection_set, below if is_composite_type(below) else None)
        size = self._page_size(node, definition)
        if size is None:
            size = self._list_size(definition, parent)
        own = 1 if parent is None else DEAR_FIELDS.get((parent.name, node.name.value), 1)
        return Measure(
            inside.depth + 1,
            inside.aliases + (1 if node.alias is not None else 0),
            min(own + size * inside.cost, _COUNT_LIMIT),
        )

    def _page_size(self, node: FieldNode, definition: GraphQLField | None) -> int | None:
        """How many items the field's page may hold; None for a field without page arguments."""
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
            return self.variables.get(value.name.value, MAX_PAGE_SIZE)
        if isinstance(value, IntValueNode) and len(value.value) <= len(str(MAX_PAGE_SIZE)):
            return _clamped(int(value.value))
        return MAX_PAGE_SIZE if isinstance(value, IntValueNode) else DEFAULT_PAGE_SIZE

    def _list_size(self, definition: GraphQLField | None, parent: GraphQLCompositeType | None) -> int:
        """The items of a list without page arguments; 1 for no list, for introspection, and inside a connection.

        The field that holds a connection has counted its items already.
        """
        if definition is None or parent is None or not is_list_type(get_nullable_type(definition.type)):
            return 1
        if parent.name.endswith(CONNECTION_SUFFIX):
            return 1
        return 1 if is_introspection_type(get_named_type(definition.type)) else UNPAGED_LIST_SIZE


def _clamped(size: int) -> int:
    return max(1, min(size, MAX_PAGE_SIZE))


def _operations(document: DocumentNode) -> list[OperationDefinitionNode]:
    return [definition for definition in document.definitions if isinstance(definition, OperationDefinitionNode)]


def _default_sizes(operation: OperationDefinitionNode) -> dict[str, int]:
    """What the operation's variables count for by their defaults. A variable without one is missing: it counts 100."""
    return {
        definition.variable.name.value: _clamped(int(definition.default_value.value))
        for definition in operation.variable_definitions or ()
        if isinstance(definition.default_value, IntValueNode)
        and len(definition.default_value.value) <= len(str(MAX_PAGE_SIZE))
    }


class Measured(NamedTuple):
    """The measures of operations, in the order given, and the steps it took to find them all."""

    measures: tuple[Measure, ...]
    visited: int


def measure_operations(
    schema: GraphQLSchema,
    document: DocumentNode,
    operations: Sequence[OperationDefinitionNode],
    variables: Mapping[str, Any] | None = None,
) -> Measured:
    """The depth, aliases and cost of operations of one document, by their defaults or by the values really sent.

    All operations share one pass: a variable that several of them declare counts for the largest of its defaults.
    """
    measuring = _Measuring(schema, document, _sizes(operations, variables or {}))
    measures = tuple(
        measuring.selection_set(operation.selection_set, schema.get_root_type(operation.operation))
        for operation in operations
    )
    return Measured(measures, measuring.visited)


def _sizes(operations: Sequence[OperationDefinitionNode], variables: Mapping[str, Any]) -> dict[str, int]:
    """What each page variable counts for. One that is missing counts `MAX_PAGE_SIZE`."""
    sizes: dict[str, int] = {}
    for operation in operations:
        defaults = _default_sizes(operation)
        for definition in operation.variable_definitions or ():
            name = definition.variable.name.value
            sizes[name] = max(sizes.get(name, 1), defaults.get(name, MAX_PAGE_SIZE))
    return sizes | {
        name: _clamped(value) for name, value in variables.items() if name in sizes and isinstance(value, int)
    }


def excess(measure: Measure) -> str | None:
    """Which limit a measure is over, as a sentence with what helps; None when it is within all of them."""
    if measure.depth > MAX_DEPTH:
        return f"The operation is {measure.depth} fields deep; at most {MAX_DEPTH} are allowed."
    if measure.aliases > MAX_ALIASES:
        return f"The operation uses more than {MAX_ALIASES} aliases, fragments written out."
    if measure.cost > MAX_COST:
        return (
            f"The operation may return more than {MAX_COST} fields. Ask for fewer fields or smaller pages, "
            "and give page-size variables a default: one without a default counts as 100."
        )
    return None


def check_variables(
    schema: GraphQLSchema, document: DocumentNode, operation_name: str | None, variables: Mapping[str, Any] | None
) -> GraphQLError | None:
    """The error when page sizes sent at run time exceed their defaults so far that the operation gets too dear.

    Validation is cached per document and cannot know them. Most operations are done after one look at their variables.
    """
    if not variables:
        return None
    operations = _operations(document)
    wanted = [
        operation
        for operation in operations
        if len(operations) == 1 or (operation.name is not None and operation.name.value == operation_name)
    ]
    for operation in wanted:
        defaults = _default_sizes(operation)
        sent = (variables.get(name) for name in defaults)
        if any(isinstance(value, int) and value > size for value, size in zip(sent, defaults.values(), strict=True)):
            problem = excess(measure_operations(schema, document, [operation], variables).measures[0])
            if problem is not None:
                return refusal(ErrorCode.QUERY_TOO_COMPLEX, problem)
    return None


class LimitsRule(ValidationRule):
    """Refuses documents with an operation that is too deep, has too many aliases or costs too much."""

    def enter_document(self, node: DocumentNode, *_args: Any) -> None:
        """Measure every operation in one pass."""
        operations = _operations(node)
        measured = measure_operations(self.context.schema, node, operations)
        for operation, measure in zip(operations, measured.measures, strict=True):
            problem = excess(measure)
            if problem is not None:
                code = {"code": ErrorCode.QUERY_TOO_COMPLEX.value}
                self.report_error(GraphQLError(problem, nodes=[operation], extensions=code))


class TextRule(ValidationRule):
    """Refuses NUL characters in literals: no text in the database can hold one."""

    def enter_string_value(self, node: StringValueNode, *_args: Any) -> None:
        """Look for NUL, which an escape sequence brings past the lexer."""
        if "\x00" in node.value:
            self.report_error(GraphQLError("Texts must not contain the NUL character.", nodes=[node]))


VALIDATION_RULES: tuple[type[ValidationRule], ...] = (LimitsRule, TextRule)
