"""The rules stay pure: checked on their source, because a float or a clock slips in quietly."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import loyalty.rules

MODULES = sorted(Path(loyalty.rules.__path__[0]).glob("*.py"))
CLOCKS = {"now", "utcnow", "today", "time_ns", "monotonic", "perf_counter", "uuid1", "uuid4"}
DOORS = {"asyncio", "io", "os", "pathlib", "random", "secrets", "socket", "subprocess", "threading", "time"}


def nodes_of(module: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(module.read_text(encoding="utf-8")))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_rules_have_no_floats(module: Path) -> None:
    """F-19: no float literal, no float(), no true division."""
    for node in nodes_of(module):
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float | complex))
        assert not (isinstance(node, ast.Name) and node.id in {"float", "round"})
        assert not (isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_rules_have_no_clock_and_are_not_async(module: Path) -> None:
    for node in nodes_of(module):
        assert not (isinstance(node, ast.Attribute) and node.attr in CLOCKS)
        assert not isinstance(node, ast.AsyncFunctionDef | ast.Await)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.stem)
def test_rules_import_the_standard_library_and_themselves(module: Path) -> None:
    for node in nodes_of(module):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names.append(node.module or "")
        for name in names:
            top = name.split(".")[0]
            assert name.startswith("loyalty.rules") or top in sys.stdlib_module_names - DOORS
