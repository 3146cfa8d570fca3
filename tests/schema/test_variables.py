"""Variables are counted before they are read: a list of 50,000 items costs no more than saying that it is too long."""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from schema.masking import mask_errors
from schema.root import treue_schema
from schema.variables import (
    MAX_LIST_LENGTH,
    MAX_VARIABLE_NESTING,
    MAX_VARIABLE_VALUES,
    find_variable_excess,
)

SCHEMA = treue_schema()
RECORD = "mutation($input: PurchasesRecordInput!) { purchasesRecord(input: $input) { results { __typename } } }"
LINES = 8


def item(number: int, lines: int = 0) -> dict[str, Any]:
    line = {"kind": "SERVICE", "externalId": "cut", "unitPrice": {"amount": "1.00", "currency": "EUR"}, "quantity": 1}
    return {
        "kind": "ORDER",
        "externalId": f"order-{number}",
        "status": "PAID",
        "total": {"amount": "1.00", "currency": "EUR"},
        "customer": {"externalId": "anna"},
        "lines": [line] * lines,
    }


def nested(levels: int) -> Any:
    value: Any = "x"
    for level in range(levels):
        value = [value] if level % 2 else {"a": value}
    return value


def calls(work: Callable[[], object]) -> int:
    """Return how many functions are called, so that nothing depends on the machine."""
    count = 0

    def look(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


@pytest.mark.parametrize(
    "variables",
    [
        None,
        {},
        {"input": {"items": [item(number, LINES) for number in range(1_000)]}},
        {"input": {"items": [item(0)] * MAX_LIST_LENGTH}},
        {"input": nested(MAX_VARIABLE_NESTING)},
        {"input": {"note": "x" * 1_000_000}},
    ],
    ids=["none", "empty", "a batch", "the longest list", "the deepest", "a long text"],
)
def test_variables_within_the_limits_are_no_excess(variables: dict[str, Any] | None) -> None:
    assert find_variable_excess(variables) is None


@pytest.mark.parametrize(
    ("variables", "path", "says"),
    [
        ({"input": {"items": [item(0)] * (MAX_LIST_LENGTH + 1)}}, ["input", "items"], f"at most {MAX_LIST_LENGTH}"),
        ({"input": {"items": [{"lines": [1] * 100_000}]}}, ["input", "items", "0", "lines"], "100000 entries"),
        ({"ids": ["x"] * 50_000}, ["ids"], "50000 entries"),
        ({"a": nested(MAX_VARIABLE_NESTING + 1)}, None, f"more than {MAX_VARIABLE_NESTING} levels"),
        ({"a": nested(5_000)}, None, f"more than {MAX_VARIABLE_NESTING} levels"),
        ({f"k{number}": 1 for number in range(MAX_VARIABLE_VALUES + 1)}, [], f"may hold {MAX_VARIABLE_VALUES}"),
        ({"input": [[0] * MAX_LIST_LENGTH] * 100}, None, f"may hold {MAX_VARIABLE_VALUES}"),
    ],
)
def test_an_excess_names_what_is_too_large(variables: dict[str, Any], path: list[str] | None, says: str) -> None:
    error = find_variable_excess(variables)
    assert error is not None
    assert says in error.message
    (shown,) = mask_errors([error], "r-1")
    assert (shown.extensions or {})["code"] == "QUERY_TOO_COMPLEX"
    if path is not None:
        assert (shown.extensions or {})["path"] == path


@pytest.mark.parametrize(
    "items",
    [[item(0)] * 50_000, [{}] * 50_000, [[]] * 50_000, [1] * 50_000, ["x"] * 50_000],
    ids=["valid", "objects", "lists", "numbers", "texts"],
)
async def test_a_long_list_is_refused_before_any_entry_is_read(items: list[Any]) -> None:
    """Less work than for a batch that may run, although it is 50 times as long."""
    found = await SCHEMA.execute(RECORD, {"input": {"items": items}})
    assert [error.extensions["code"] for error in found.errors or () if error.extensions] == ["QUERY_TOO_COMPLEX"]
    batch = [item(number) for number in range(1_000)]
    assert calls(lambda: find_variable_excess({"input": {"items": items}})) < 100
    assert calls(lambda: find_variable_excess({"input": {"items": batch}})) > 1_000
