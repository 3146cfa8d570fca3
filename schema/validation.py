"""Check whether a document fits the schema: graphql-core's rules and two own ones, at most `MAX_ERRORS` errors.

Errors have no suggestions. graphql-core's own `validate` compares fields in a time that grows with the square of the
document. It also leaves rules that point at each other, and hold the tree until the garbage collector comes. Here
merging is a pass of its own, and these references are removed at once.
"""

from collections.abc import Callable, Collection, Sequence
from functools import cache, partial
from typing import Any, cast

from graphql import (
    BREAK,
    ASTValidationRule,
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLInputType,
    GraphQLSchema,
    Node,
    NonNullTypeNode,
    ObjectValueNode,
    OperationDefinitionNode,
    OverlappingFieldsCanBeMergedRule,
    ParallelVisitor,
    StringValueNode,
    TypeInfo,
    TypeInfoVisitor,
    ValidationContext,
    ValidationRule,
    Visitor,
    get_named_type,
    specified_rules,
    visit,
)
from graphql.language.ast import QUERY_DOCUMENT_KEYS
from graphql.language.visitor import EnterLeaveVisitor
from graphql.pyutils import RefMap
from graphql.validation.validation_context import VariableUsage
from strawberry.exceptions import StrawberryInputCoercionError
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule

from schema.masking import ErrorCode, refusal
from schema.merging import merge_fields

_KEYS_TO_VISIT = {
    kind: tuple(key for key in keys if key not in {"description", "name", "alias"})
    for kind, keys in QUERY_DOCUMENT_KEYS.items()
}
"""The keys of nodes to visit. Names and descriptions are left out: no rule checks them."""


class TextRule(ValidationRule):
    """Refuses NUL characters in literals: the database cannot store them."""

    def enter_string_value(self, node: StringValueNode, *_args: Any) -> None:
        """Refuse a NUL, which can pass the lexer as an escape sequence."""
        if "\x00" in node.value:
            self.report_error(GraphQLError("Texts must not contain the NUL character.", nodes=[node]))


class OneOfRule(ValidationRule):
    """Requires exactly one field in an input of a @oneOf type, and that it is not null.

    It replaces strawberry's rule, which fails for variables inside fragments.
    """

    def enter_object_value(self, node: ObjectValueNode, *_args: Any) -> None:
        """Check an input in the text of the document."""
        type_ = self.context.get_input_type()
        if not _is_one_of(type_):
            return
        name = get_named_type(type_)
        if len({field.name.value for field in node.fields}) != 1:
            self._refuse(f"OneOf Input Object '{name}' must specify exactly one key.", node)
        elif node.fields[0].value.kind == "null_value":
            self._refuse(f"Field '{name}.{node.fields[0].name.value}' must be non-null.", node)

    def leave_operation_definition(self, node: OperationDefinitionNode, *_args: Any) -> None:
        """Check the variables that give the one field, also in fragments."""
        declared = {definition.variable.name.value: definition for definition in node.variable_definitions or ()}
        for usage in self.context.get_recursive_variable_usages(node):
            definition = declared.get(usage.node.name.value)
            nullable = definition is not None and not isinstance(definition.type, NonNullTypeNode)
            if nullable and _is_one_of(usage.parent_type):
                name = get_named_type(usage.parent_type)
                text = f"Variable '{usage.node.name.value}' must be non-nullable to be used for OneOf Input Object"
                text += f" '{name}'."
                self._refuse(text, usage.node)

    def _refuse(self, text: str, node: Any) -> None:
        self.report_error(StrawberryInputCoercionError(text, nodes=[node]))


def _is_one_of(type_: GraphQLInputType | None) -> bool:
    named = get_named_type(type_)
    definition = None if named is None else named.extensions.get("strawberry-definition")
    return bool(definition is not None and getattr(definition, "is_one_of", False))


RULES: tuple[type[ASTValidationRule], ...] = (
    *(rule for rule in specified_rules if rule is not OverlappingFieldsCanBeMergedRule),
    TextRule,
    MaybeNullValidationRule,
    OneOfRule,
)


class _Context(ValidationContext):
    """A context that searches for variables only if the text has some: a search takes a visit, and four rules need it.

    It keeps the result by the node itself. graphql-core keeps it by the node's hash, which reads the whole tree.
    """

    def __init__(self, *values: Any, **named: Any) -> None:
        super().__init__(*values, **named)
        by_node: tuple[RefMap[Any, Any], ...] = (RefMap(), RefMap(), RefMap())
        self._fragment_spreads, self._variable_usages, self._recursive_variable_usages = by_node  # type: ignore[assignment]

    def get_variable_usages(self, node: OperationDefinitionNode | FragmentDefinitionNode) -> list[VariableUsage]:
        """Return the variables that an operation or fragment itself uses."""
        place = node.loc
        if place is not None and "$" not in place.source.body[place.start : place.end]:
            return []
        return super().get_variable_usages(node)


@cache
def _find_methods(step: str, kind: str) -> list[tuple[int, str]]:
    """Return the rules that check a kind of node: the index of each in RULES, and the name of its method.

    ``step`` is ``enter`` or ``leave``.
    """
    names = (f"{step}_{kind}", step)
    found = [next((name for name in names if hasattr(rule, name)), None) for rule in RULES]
    return [(index, name) for index, name in enumerate(found) if name is not None]


class _RulesTogether(ParallelVisitor):
    """All RULES in one visit. Each node is passed only to the rules that check its kind: few of 30."""

    def __init__(self, rules: list[ASTValidationRule]) -> None:
        super().__init__(rules)
        self._skipped: list[tuple[Node, int]] = []

    def get_enter_leave_for_kind(self, kind: str) -> EnterLeaveVisitor:
        """Return the functions that are called for the nodes of a kind."""
        known = self.enter_leave_map.get(kind)
        if known is None:
            rules = cast("list[Visitor]", self.visitors)
            enters = [(index, getattr(rules[index], name)) for index, name in _find_methods("enter", kind)]
            leaves = [(index, getattr(rules[index], name)) for index, name in _find_methods("leave", kind)]
            known = EnterLeaveVisitor(
                partial(self._enter, enters) if enters else None,
                partial(self._leave, leaves) if enters or leaves else None,
            )
            self.enter_leave_map[kind] = known
        return known

    def _enter(self, asked: Sequence[tuple[int, Callable[..., Any]]], node: Node, *place: Any) -> None:
        """Pass a node to rules.

        A rule that returns SKIP gets no node below it; one that returns BREAK gets no more nodes.
        """
        skipping = self.skipping
        for index, look in asked:
            if skipping[index] is not None:
                continue
            answer = look(node, *place)
            if answer is None:
                continue
            if answer is BREAK or answer is True:
                skipping[index] = BREAK
            else:
                skipping[index] = node
                self._skipped.append((node, index))

    def _leave(self, asked: Sequence[tuple[int, Callable[..., Any]]], node: Node, *place: Any) -> None:
        skipping, skipped = self.skipping, self._skipped
        for index, look in asked:
            if skipping[index] is None:
                answer = look(node, *place)
                if answer is BREAK or answer is True:
                    skipping[index] = BREAK
        while skipped and skipped[-1][0] is node:
            skipping[skipped.pop()[1]] = None


class _TooManyErrors(Exception):
    """Validation has found too many errors and stops."""


def validate_document(schema: GraphQLSchema, document: DocumentNode, max_errors: int) -> list[GraphQLError]:
    """Return the errors of a document: at most `max_errors`. The last one says if there are more.

    The document must be within the limits of `schema/limits.py`. Fields are merged if all else is right. Raises a
    refusal if merging takes too many steps.
    """
    errors = _validate_by_rules(schema, document, max_errors)
    return errors or merge_fields(schema, document, max_errors).errors


def _validate_by_rules(schema: GraphQLSchema, document: DocumentNode, max_errors: int) -> list[GraphQLError]:
    """Check a document by all RULES in one visit. If there are more errors than allowed, the last one says so."""
    errors: list[GraphQLError] = []

    def add(error: GraphQLError) -> None:
        if len(errors) == max_errors - 1:
            raise _TooManyErrors
        errors.append(error)

    types = TypeInfo(schema)
    context = _Context(schema, document, types, add, hide_suggestions=True)
    rules = [rule(context) for rule in RULES]
    parallel = _RulesTogether(rules)
    visitor = TypeInfoVisitor(types, parallel)
    try:
        visit(document, visitor, _KEYS_TO_VISIT)
    except _TooManyErrors:
        text = f"The document has more errors; these are the first {max_errors - 1}."
        errors.append(refusal(ErrorCode.BAD_USER_INPUT, text))
    finally:
        _open_circles((*rules, parallel, visitor, context, types))
    return errors


def _open_circles(objects: Collection[object]) -> None:
    """Clear the attributes of objects: some hold the object's own methods, and so the object and the tree."""
    for held in objects:
        vars(held).clear()
