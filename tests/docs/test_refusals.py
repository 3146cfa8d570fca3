"""The table of refusals is what the code says."""

import importlib
import inspect
import re

import pytest

from schema.errors import USER_ERROR_TYPES
from tests.docs.pages import read_tables
from tests.docs.refusals import PAGE, functions, mutations, refusals_of, table


def test_the_page_has_the_table_of_today() -> None:
    assert read_tables(PAGE) == table(), "make refusals"


@pytest.mark.parametrize(
    ("mutation", "refusal", "path"),
    [
        ("customerArchive", "ActiveHolds", ("customer",)),
        ("customerTokenCreate", "CustomerIsArchived", ("customer",)),
        ("tierCreate", "DuplicateMinimum", ("min_points",)),
        ("pointsAdjust", "IdempotencyConflict", ("idempotency_key",)),
        ("pointsAdjust", "LimitReached", ()),
        ("redemptionHold", "BelowMinimum", ("points",)),
        ("redemptionHold", "HoldEnded", ("replaces",)),
        ("purchaseRecord", "StatusRunsBackwards", ("status",)),
        ("openingBalancesImport", "OpeningBalanceExists", ("customer",)),
        ("sandboxClockAdvance", "NotASandbox", ()),
    ],
)
def test_known_refusals_are_found(mutation: str, refusal: str, path: tuple[str, ...]) -> None:
    """By a call, by a reference that is handed on, by a method of the books, and by a row of results."""
    assert path in refusals_of(dict(mutations())[mutation])[refusal]


def test_a_refusal_that_cannot_happen_is_not_found() -> None:
    by_name = dict(mutations())
    assert "ActiveHolds" not in refusals_of(by_name["customerUnarchive"])
    assert "DuplicateName" not in refusals_of(by_name["pointsAdjust"])
    # A parameter or a variable may have the name of a function: `refund` of a request is not `refund` of an accrual.
    assert "InsufficientPoints" not in refusals_of(by_name["tierCreate"])


def test_refusals_named_by_a_use_case_are_found() -> None:
    """The docstrings of the services name their refusals; the table leaves none of them out."""
    shown = {one.__name__ for one in USER_ERROR_TYPES}
    missing = []
    for name in functions():
        module, _, function = name.rpartition(".")
        if module.count(".") != 2 or not module.startswith("loyalty.services.") or function.startswith("_"):
            continue
        found = getattr(importlib.import_module(module), function, None)
        said = re.search(r"Refusals?(?: of one)?: (.*)", inspect.getdoc(found) or "", re.DOTALL)
        if inspect.isfunction(found) and said:
            told = set(re.findall(r"[A-Z][A-Za-z]+", said[1])) & shown - {"InvalidInput"}
            missing += [f"{name}: {one}" for one in sorted(told - refusals_of(name).keys())]
    assert missing == []
