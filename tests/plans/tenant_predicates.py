"""Whether a statement compares the tenant of every table it reads, told from its plan without row-level security.

The wall stands behind every statement, so at run time nobody notices a predicate that is missing. The plan of a
superuser shows what the statement itself compares: PostgreSQL concludes there what an equality implies.
"""

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

import psycopg
from sqlalchemy import Executable

from tenancy.statements import compile_statement
from tenancy.table import metadata

EXPLAIN = "EXPLAIN (GENERIC_PLAN, VERBOSE, FORMAT JSON) "
WALLED = frozenset(table.name for table in metadata.sorted_tables if table.name != "token_directory")
"""All tables of tenants. The directory is how a tenant is found, so nobody can compare it."""

TOLD = "told"
"""What a statement is told from outside: a parameter, or a row that another part of the statement has read."""

CONDITIONS = ("Filter", "Index Cond", "Recheck Cond", "Hash Cond", "Merge Cond", "Join Filter", "One-Time Filter")
_OPERAND = r"(?:\(?(?:\$\d+|'[0-9a-f-]{36}')(?:\)?::(?:uuid|text))*|[\w\"]+(?:\.[\w\"]+)?)"
_EQUALITY = re.compile(rf"({_OPERAND}) = ({_OPERAND})")
_PREDICATE = re.compile(
    r"(?<![\w.])(?P<left>(?:\w+\.)?tenant_id) = (?P<right>\$\d+(?:::UUID)?|\w+\.tenant_id)(?![\w.])", re.IGNORECASE
)
_ANY_COMPARISON = re.compile(r"tenant_id\s*=|=\s*(?:\w+\.)?tenant_id")


class Mutant(NamedTuple):
    """A statement without one comparison of a tenant, or without all of one table."""

    what: str
    without: str
    is_one: bool


def text_of(statement: Executable) -> str:
    """Return a statement as PostgreSQL gets it."""
    return bytes(compile_statement(statement).text).decode()


def list_mutants(statement: str) -> Iterator[Mutant]:
    """Yield the statement without each comparison of a tenant.

    Also yield it without all comparisons of each table that it names.
    """
    names: dict[str, None] = {}
    for found in _PREDICATE.finditer(statement):
        names |= dict.fromkeys(name for name in (found["left"], found["right"]) if not name.startswith("$"))
        yield Mutant(found[0], statement[: found.start()] + _leave_out(found) + statement[found.end() :], is_one=True)
    for name in names:
        without = _PREDICATE.sub(partial(_leave_out_of, name), statement)
        yield Mutant(f"all of {name}", without, is_one=False)


def has_other_comparisons(statement: str) -> bool:
    """Tell whether a statement compares a tenant in a form that no mutant leaves out."""
    return _ANY_COMPARISON.search(_PREDICATE.sub("", statement)) is not None


def _leave_out(found: re.Match[str]) -> str:
    """Return what stands in place of a comparison. A parameter stays in the text, so that PostgreSQL knows its type."""
    return f"{found['right']}::uuid IS NOT NULL"


def _leave_out_of(name: str, found: re.Match[str]) -> str:
    return _leave_out(found) if name in (found["left"], found["right"]) else found[0]


def find_open_tables(connection: psycopg.Connection[Any], statement: str) -> set[str]:
    """Return the tables whose rows of all tenants a statement reads, by the names that the plan gives them."""
    ((plan,),) = connection.execute((EXPLAIN + statement).encode()).fetchall()
    nodes = list(_nodes(plan[0]["Plan"]))
    read = {node["Alias"]: node["Relation Name"] for node in nodes if node.get("Relation Name") in WALLED}
    scanned = {alias: table for alias, table in read.items() if any(_scans(node, alias) for node in nodes)}
    known = _Equalities()
    for node in nodes:
        # What a bitmap was made of need not hold for all of its rows; the scan of the table says what does.
        names = () if node["Node Type"] == "Bitmap Index Scan" else CONDITIONS
        for condition in (str(node[name]) for name in names if name in node):
            for left, right in _list_equalities(condition):
                known.note(*(_name_of(side, node, scanned) for side in (left, right)))
    return {f"{table} AS {alias}" for alias, table in scanned.items() if not known.imply(f"{alias}.tenant_id", TOLD)}


def _list_equalities(condition: str) -> set[tuple[str, str]]:
    """Return the equalities that hold whenever a condition does: all of an AND, and of an OR those of both sides."""
    condition = _strip(condition)
    for word, join in ((" OR ", set.intersection), (" AND ", set.union)):
        parts = _split(condition, word)
        if len(parts) > 1:
            return join(*(_list_equalities(part) for part in parts))
    found = _EQUALITY.fullmatch(condition)
    return {(found[1], found[2])} if found else set()


def _strip(condition: str) -> str:
    """Return a condition without the brackets round all of it."""
    while condition.startswith("(") and _end_of_bracket(condition) == len(condition) - 1:
        condition = condition[1:-1]
    return condition


def _end_of_bracket(condition: str) -> int:
    depth = 0
    for place, sign in enumerate(condition):
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            return place
    return len(condition)


def _split(condition: str, word: str) -> list[str]:
    """Return the parts of a condition between words that stand in no bracket."""
    parts, depth, start = [], 0, 0
    for place, sign in enumerate(condition):
        depth += (sign == "(") - (sign == ")")
        if depth == 0 and condition.startswith(word, place):
            parts.append(condition[start:place])
            start = place + len(word)
    return [*parts, condition[start:]]


def _name_of(side: str, node: Mapping[str, Any], scanned: Mapping[str, str]) -> str:
    """Return what stands on one side of an equality: a column of a scanned table, or what the statement is told."""
    side = side.strip('("')
    alias, _, column = side.rpartition(".")
    if not alias and column == "tenant_id" and node.get("Alias") in scanned:
        return f"{node['Alias']}.tenant_id"
    if alias in scanned:
        return side
    return TOLD


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", []):
        yield from _nodes(below)


def _scans(node: Mapping[str, Any], alias: str) -> bool:
    return node.get("Alias") == alias and str(node["Node Type"]).endswith("Scan")


class _Equalities:
    """Equalities of names, and what follows from them: each name leads to an equal one, the last of them to none."""

    def __init__(self) -> None:
        self._leads: dict[str, str] = {}

    def note(self, left: str, right: str) -> None:
        first, last = self._find_last(left), self._find_last(right)
        if first != last:
            self._leads[first] = last

    def imply(self, left: str, right: str) -> bool:
        return self._find_last(left) == self._find_last(right)

    def _find_last(self, name: str) -> str:
        while name in self._leads:
            name = self._leads[name]
        return name
