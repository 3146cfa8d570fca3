"""Check that fields with one response name can be merged, as the specification asks ("Field Selection Merging").

graphql-core compares each field with every other one of its name, so its work grows with the square of a document. Here
each field is compared with the first one of its name, level by level, and each fragment is entered once per level. The
steps are counted, and a document that needs too many is refused.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLField,
    GraphQLNamedType,
    GraphQLOutputType,
    GraphQLSchema,
    InlineFragmentNode,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValueNode,
    VariableNode,
    get_named_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)

from schema.masking import ErrorCode, refusal

MAX_MERGE_STEPS = 10_000
"""The number of fields that merging visits in one document, with fragments written out once for each level."""


class _Field(NamedTuple):
    """A field and the type on which it is selected. `definition` is None for an unknown field."""

    parent: GraphQLNamedType | None
    node: FieldNode
    definition: GraphQLField | None


class _Level(NamedTuple):
    """Selections whose fields go into one object of the answer, with the types on which they are selected.

    With `only_shapes` the fields may belong to objects of different types: then only their types must fit.
    """

    selections: tuple[tuple[SelectionSetNode, GraphQLNamedType | None], ...]
    only_shapes: bool


class Merged(NamedTuple):
    """The errors of merging, and the number of its steps."""

    errors: list[GraphQLError]
    steps: int


def merge_fields(schema: GraphQLSchema, document: DocumentNode, max_errors: int) -> Merged:
    """Find fields of one response name that cannot be merged; at most `max_errors` errors.

    The document must be valid otherwise, and its fragments must have no cycles. Raises a refusal above
    `MAX_MERGE_STEPS`.
    """
    merging = _Merging(schema, document)
    for definition in document.definitions:
        if isinstance(definition, OperationDefinitionNode):
            root = schema.get_root_type(definition.operation)
            merging.add(_Level(((definition.selection_set, root),), only_shapes=False))
    while merging.waiting and len(merging.errors) < max_errors:
        merging.check(merging.waiting.pop())
    return Merged(merging.errors[:max_errors], merging.steps)


class _Merging:
    """The levels of one document that wait for their check, and the errors found."""

    def __init__(self, schema: GraphQLSchema, document: DocumentNode) -> None:
        self.schema = schema
        self.fragments = {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
        self.waiting: list[_Level] = []
        self.errors: list[GraphQLError] = []
        self.steps = 0
        self._seen: set[tuple[bool, frozenset[tuple[int, str]]]] = set()

    def add(self, level: _Level) -> None:
        """Let a level wait for its check, unless it was added before."""
        key = frozenset((id(node), "" if parent is None else parent.name) for node, parent in level.selections)
        if level.selections and (level.only_shapes, key) not in self._seen:
            self._seen.add((level.only_shapes, key))
            self.waiting.append(level)

    def check(self, level: _Level) -> None:
        """Compare the fields of a level, and add the levels below it."""
        for name, fields in self._collect(level).items():
            problem = None if len(fields) == 1 else _different_shapes(fields)
            groups = [] if level.only_shapes else _groups_of_one_object(fields)
            self._count(sum(len(group) for group in groups) if len(groups) > 1 else 0)
            problem = problem or next((found for group in groups if (found := _different_fields(group))), None)
            if problem is not None:
                self.errors.append(_conflict(name, problem))
            elif len(groups) == 1:
                self.add(_level_below(fields, only_shapes=False))
            else:
                self.add(_level_below(fields, only_shapes=True))
                for group in groups:
                    self.add(_level_below(group, only_shapes=False))

    def _collect(self, level: _Level) -> dict[str, list[_Field]]:
        """Return the fields of a level by their response names. Each fragment is entered once."""
        found: dict[str, list[_Field]] = {}
        entered: set[str] = set()
        waiting = deque(level.selections)
        while waiting:
            selection_set, parent = waiting.popleft()
            self._count(len(selection_set.selections))
            for selection in selection_set.selections:
                if isinstance(selection, FieldNode):
                    definition = self._definition(parent, selection)
                    name = (selection.alias or selection.name).value
                    found.setdefault(name, []).append(_Field(parent, selection, definition))
                elif isinstance(selection, InlineFragmentNode):
                    condition = selection.type_condition
                    inside = parent if condition is None else self.schema.get_type(condition.name.value)
                    waiting.append((selection.selection_set, inside))
                elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in entered:
                    entered.add(selection.name.value)
                    fragment = self.fragments.get(selection.name.value)
                    if fragment is not None:
                        on = self.schema.get_type(fragment.type_condition.name.value)
                        waiting.append((fragment.selection_set, on))
        return found

    def _definition(self, parent: GraphQLNamedType | None, node: FieldNode) -> GraphQLField | None:
        return None if parent is None else self.schema.get_field(parent, node.name.value)  # type: ignore[arg-type]

    def _count(self, steps: int) -> None:
        self.steps += steps
        if self.steps > MAX_MERGE_STEPS:
            raise refusal(
                ErrorCode.QUERY_TOO_COMPLEX,
                f"The document needs more than {MAX_MERGE_STEPS} steps to merge fields of the same name. "
                "Select each field once, and spread fewer fragments in the same place.",
            )


def _groups_of_one_object(fields: Sequence[_Field]) -> list[list[_Field]]:
    """Return the fields that may be in one object: one group for each object type.

    Fields on abstract types are in all groups.
    """
    first = fields[0].parent
    if all(field.parent is first for field in fields):
        return [list(fields)]
    abstract = [field for field in fields if not is_object_type(field.parent)]
    concrete: dict[str, list[_Field]] = {}
    for field in fields:
        if field.parent is not None and is_object_type(field.parent):
            concrete.setdefault(field.parent.name, []).append(field)
    return [group + abstract for group in concrete.values()] or [abstract]


def _level_below(fields: Sequence[_Field], *, only_shapes: bool) -> _Level:
    return _Level(
        tuple(
            (field.node.selection_set, None if field.definition is None else get_named_type(field.definition.type))
            for field in fields
            if field.node.selection_set is not None
        ),
        only_shapes,
    )


class _Problem(NamedTuple):
    reason: str
    first: FieldNode
    second: FieldNode


def _different_shapes(fields: Sequence[_Field]) -> _Problem | None:
    """Return the first pair of fields whose types do not fit one place of an answer."""
    known = [field for field in fields if field.definition is not None]
    shapes: dict[int, tuple[str, ...]] = {}
    for field in known:
        type_ = _type_of(field)
        if id(type_) not in shapes:
            shapes[id(type_)] = tuple(_shape(type_))
        if shapes[id(type_)] != shapes[id(_type_of(known[0]))]:
            reason = f"they return conflicting types '{_type_of(known[0])}' and '{type_}'"
            return _Problem(reason, known[0].node, field.node)
    return None


def _type_of(field: _Field) -> GraphQLOutputType | None:
    return None if field.definition is None else field.definition.type


def _shape(type_: GraphQLOutputType | None) -> Iterator[str]:
    """Return what must be equal in two types: lists, nulls, and the names of leaf types. Objects fit every object."""
    while type_ is not None and (is_non_null_type(type_) or is_list_type(type_)):
        yield "!" if is_non_null_type(type_) else "[]"
        type_ = type_.of_type
    yield str(type_) if is_leaf_type(type_) else "{}"


def _different_fields(group: Sequence[_Field]) -> _Problem | None:
    """Return the first pair with different fields, or with different arguments of one field."""
    if len(group) == 1:
        return None
    first = group[0].node
    arguments = _arguments(first)
    for field in group[1:]:
        if field.node.name.value != first.name.value:
            reason = f"'{first.name.value}' and '{field.node.name.value}' are different fields"
            return _Problem(reason, first, field.node)
        if _arguments(field.node) != arguments:
            return _Problem("they have differing arguments", first, field.node)
    return None


def _arguments(node: FieldNode) -> dict[str, object]:
    return {argument.name.value: _content(argument.value) for argument in node.arguments or ()}


def _content(value: ValueNode) -> object:
    """Return the content of a value. It is equal for values that differ only in the order of their input fields."""
    if isinstance(value, ObjectValueNode):
        return (
            value.kind,
            sorted(((field.name.value, _content(field.value)) for field in value.fields), key=itemgetter(0)),
        )
    if isinstance(value, ListValueNode):
        return (value.kind, [_content(item) for item in value.values])
    if isinstance(value, VariableNode):
        return (value.kind, value.name.value)
    return (value.kind, getattr(value, "value", None))


def _conflict(name: str, problem: _Problem) -> GraphQLError:
    return GraphQLError(
        f"Fields '{name}' conflict because {problem.reason}. "
        "Use different aliases on the fields to fetch both if this was intentional.",
        nodes=[problem.first, problem.second],
    )
