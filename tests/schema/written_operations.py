"""Every operation that somebody has written: in the documentation, and in the tests that speak to the API."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from graphql import GraphQLError, GraphQLSchema, OperationDefinitionNode, OperationType, parse, type_from_ast

from schema.documents import prepare_document

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```graphql\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_POSTED = re.compile(r"-d '(\{.*?\})'(?:\n|$)")


class Written(NamedTuple):
    """An operation of a document, and the types of its variables."""

    document: str
    name: str | None
    kind: OperationType
    variables: dict[str, Any]


def find_written_operations(schema: GraphQLSchema) -> list[Written]:
    """Return all operations that are valid in a schema, each once, in a fixed order."""
    found: dict[tuple[str, str | None], Written] = {}
    for text in sorted({*_documented(), *_tested()}):
        for written in _operations(schema, text):
            found[written.document, written.name] = written
    return list(found.values())


def _documented() -> Iterator[str]:
    for page in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))):
        text = page.read_text("utf-8")
        yield from (match["code"] for match in _FENCE.finditer(text))
        yield from (json.loads(body)["query"] for body in _POSTED.findall(text))


def _tested() -> Iterator[str]:
    """Yield the texts of the tests that look like operations."""
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and "{" in node.value:
                yield node.value


def _operations(schema: GraphQLSchema, text: str) -> Iterator[Written]:
    """Yield the operations of a text; none if the text is no valid document."""
    try:
        document = parse(text)
    except GraphQLError:
        return
    if prepare_document(schema, text).errors:
        return
    for operation in document.definitions:
        if isinstance(operation, OperationDefinitionNode):
            types: dict[str, Any] = {
                one.variable.name.value: type_from_ast(schema, one.type) for one in operation.variable_definitions or ()
            }
            yield Written(text, operation.name.value if operation.name else None, operation.operation, types)
