"""Which refusals each mutation may answer, read from the code.

``python -m tests.docs.refusals`` writes the table of docs/reference/refusals.md again. Refusals are found by name, so
the table may name a refusal that a mutation reaches only in theory; it leaves none out.
"""

import ast
import importlib
import inspect
import symtable
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from strawberry.utils.str_converters import to_camel_case

from loyalty.rules.errors import LoyaltyError
from schema.errors import USER_ERROR_TYPES
from tests.docs.pages import REFERENCE, write_tables

ROOT = Path(__file__).parents[2]
PAGE = REFERENCE / "refusals.md"
PACKAGES = ("loyalty", "schema")
MUTATIONS = "schema.mutations."
WITH_METHODS = ("loyalty.ledger", "loyalty.services")
"""Where methods may make refusals; they are found by their names alone."""
SHOWN = {shown.__name__ for shown in USER_ERROR_TYPES}
HERE = "…"
"""Stands for the part of a path that the place in the input decides."""

Path_ = tuple[str, ...]


class Function(NamedTuple):
    """What a function refers to, and which refusals it makes with which paths."""

    refers_to: frozenset[str]
    makes: frozenset[tuple[str, Path_]]


@cache
def functions() -> dict[str, Function]:
    """Return every function and method of ours, by module and name."""
    found: dict[str, Function] = {}
    methods: defaultdict[str, set[str]] = defaultdict(set)
    texts = {_module_of(path): path.read_text("utf-8") for package in PACKAGES for path in _files(package)}
    trees = {module: ast.parse(text) for module, text in texts.items()}
    for module, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and module.startswith(WITH_METHODS):
                for method in node.body:
                    if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
                        methods[method.name].add(f"{module}.{node.name}.{method.name}")
    for module, tree in trees.items():
        names, own = _names_of(module, tree), _own_names(texts[module])
        for node in tree.body:
            for name, body in _bodies(node):
                hidden = own.get(body.lineno, set())
                seen = {one: whole for one, whole in names.items() if one not in hidden}
                found[f"{module}.{name}"] = _read(body, seen, methods)
    return found


def refusals_of(function: str) -> dict[str, set[Path_]]:
    """Return the refusals that a function and the functions it calls can make, with their paths."""
    known, waiting, seen = functions(), [function], set()
    made: defaultdict[str, set[Path_]] = defaultdict(set)
    while waiting:
        name = waiting.pop()
        if name in seen or name not in known:
            continue
        seen.add(name)
        waiting += known[name].refers_to
        for refusal, path in known[name].makes:
            made[refusal].add(path)
    return made


def mutations() -> Iterator[tuple[str, str]]:
    """Yield the mutations of the contract, with the functions that answer them."""
    for name, module in inspect.getmembers(importlib.import_module("schema.root"), inspect.ismodule):
        if module.__name__.startswith(MUTATIONS) and hasattr(module, name):
            yield to_camel_case(name), f"{module.__name__}.{name}"


def table() -> str:
    """Return the table of refusals."""
    lines = ["| mutation | refusals, each with the paths that it names |", "| --- | --- |"]
    for name, function in sorted(mutations()):
        made = refusals_of(function)
        # Values of our scalars are read before anything else, in every mutation.
        made["InvalidInput"].add((HERE,))
        cells = [f"`{refusal}`{_shown(paths)}" for refusal, paths in sorted(made.items()) if refusal in SHOWN]
        lines.append(f"| `{name}` | {' · '.join(cells)} |")
    return "\n".join(lines)


def _shown(paths: set[Path_]) -> str:
    if () in paths:
        paths = paths - {()} | {("no path",)} if len(paths) > 1 else set()
    told = sorted({".".join(map(to_camel_case, path)).replace(f"{HERE}.{HERE}", HERE) for path in paths})
    return f" ({', '.join(told)})" if told else ""


def _files(package: str) -> Iterator[Path]:
    yield from sorted((ROOT / package).rglob("*.py"))


def _module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def _bodies(node: ast.stmt) -> Iterator[tuple[str, ast.stmt | ast.expr]]:
    """Yield the name and the body of each function and method, and of each assigned value."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield node.name, node
    elif isinstance(node, ast.ClassDef):
        for method in node.body:
            if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{node.name}.{method.name}", method
    elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        yield node.targets[0].id, node.value


def _names_of(module: str, tree: ast.Module) -> dict[str, str]:
    """Return the full name that each global name of a module stands for."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in PACKAGES:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for top in tree.body:
        names |= {name: f"{module}.{name}" for name, _ in _bodies(top) if "." not in name}
        if isinstance(top, ast.ClassDef):
            names[top.name] = f"{module}.{top.name}"
    return names


def _own_names(text: str) -> dict[int, set[str]]:
    """Return the names of parameters and variables of each function, by the line of the function.

    In the function they do not stand for what its module has by that name. A name that the function also takes from its
    module is left out.
    """
    found: dict[int, set[str]] = {}
    for top in symtable.symtable(text, "module", "exec").get_children():
        for table in (top, *top.get_children()):
            tables = list(_tables_of(table))
            symbols = [symbol for one in tables for symbol in one.get_symbols()]
            taken = {symbol.get_name() for symbol in symbols if symbol.is_global()}
            found.setdefault(table.get_lineno(), {symbol.get_name() for symbol in symbols if symbol.is_local()} - taken)
    return found


def _tables_of(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for child in table.get_children():
        yield from _tables_of(child)


def _read(body: ast.AST, names: dict[str, str], methods: defaultdict[str, set[str]]) -> Function:
    """Return the names that a body refers to, and the refusals that it makes."""
    refers_to: set[str] = set()
    makes: set[tuple[str, Path_]] = set()
    for node in ast.walk(body):
        if isinstance(node, ast.Name) and node.id in names:
            refers_to.add(names[node.id])
        elif isinstance(node, ast.Attribute):
            whole = names.get(node.value.id) if isinstance(node.value, ast.Name) else None
            refers_to |= {f"{whole}.{node.attr}"} if whole else methods.get(node.attr, set())
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Name):
            refusal = _error(names.get(node.exc.id, ""))
            makes |= set() if refusal is None else {(refusal.__name__, _own_path(refusal))}
        elif isinstance(node, ast.Call) and (made := _refusal_of(node, names)) is not None:
            makes.add(made)
    return Function(frozenset(refers_to), frozenset(makes))


def _refusal_of(call: ast.Call, names: dict[str, str]) -> tuple[str, Path_] | None:
    """Return the refusal that a call makes, with its path."""
    if isinstance(call.func, ast.Name):
        refusal = _error(names.get(call.func.id, ""))
        return None if refusal is None else (refusal.__name__, _path_of(call, refusal))
    if isinstance(call.func, ast.Attribute) and call.func.attr == "one" and isinstance(call.func.value, ast.Name):
        refusal = _error(names.get(call.func.value.id, ""))
        return None if refusal is None else (refusal.__name__, tuple(map(_part, call.args)))
    return None


def _error(name: str) -> type[LoyaltyError] | None:
    module, _, attribute = name.rpartition(".")
    if not module.startswith("loyalty.rules"):
        return None
    found = getattr(importlib.import_module(module), attribute, None)
    return found if inspect.isclass(found) and issubclass(found, LoyaltyError) else None


def _path_of(call: ast.Call, refusal: type[LoyaltyError]) -> Path_:
    """Return the path of a refusal that a call makes: the given path, or the default one.

    HERE stands for a path that the code does not spell out.
    """
    parameter = inspect.signature(refusal).parameters.get("path")
    if parameter is None:
        return (HERE,) if refusal.__name__ == "InvalidInput" else _own_path(refusal)
    place = list(inspect.signature(refusal).parameters).index("path")
    given = [word.value for word in call.keywords if word.arg == "path"]
    given += call.args[place : place + 1]
    if not given:
        default: Path_ = parameter.default
        return default
    if isinstance(given[0], ast.Tuple):
        return tuple(map(_part, given[0].elts))
    return (HERE,)


def _own_path(refusal: type[LoyaltyError]) -> Path_:
    """Return the path of a refusal that always names the same field."""
    needed = [one for one in inspect.signature(refusal).parameters.values() if one.default is one.empty]
    some: Any = refusal
    path: Path_ = some(*[1] * len(needed)).path
    return path


def _part(part: ast.expr) -> str:
    return str(part.value) if isinstance(part, ast.Constant) else HERE


if __name__ == "__main__":
    write_tables(PAGE, table())
