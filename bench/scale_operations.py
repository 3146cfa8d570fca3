"""The operations of `make bench-scale`: the main reads, reports, purchases and checkouts of a customer or a tenant."""

from collections.abc import Callable
from typing import Any, NamedTuple

MONTH = {"range": {"from": "2023-12-01", "to": "2023-12-31"}}
QUARTER = {"range": {"from": "2023-11-15", "to": "2024-02-15"}}
ALL_TIME = {"range": {"from": "2020-01-01", "to": "2060-12-31"}}
TEN_EUROS = {"amount": "10.00", "currency": "EUR"}


class Operation(NamedTuple):
    """A document, and its variables for the call with a number."""

    name: str
    document: str
    variables: Callable[[int], dict[str, Any]] = lambda _number: {}


def _customer(number: int) -> dict[str, Any]:
    """Return the input that names the customer with a number."""
    return {"externalId": f"customer-{number}"}


def _one(name: str, fields: str) -> Operation:
    """Return an operation that reads fields of one customer."""
    return Operation(
        name,
        f"query($by: CustomerBy!) {{ customer(by: $by) {{ id {fields} }} }}",
        lambda number: {"by": _customer(number)},
    )


def _page(name: str, root: str, fields: str = "id") -> Operation:
    """Return an operation that reads a page of a list."""
    return Operation(name, f"{{ {root} {{ nodes {{ {fields} }} pageInfo {{ hasNextPage }} }} }}")


def _report(name: str, fields: str, range_: dict[str, Any]) -> Operation:
    """Return an operation that reads fields of a report."""
    return Operation(
        name, f"query($range: DateRangeInput!) {{ report(range: $range) {{ {fields} }} }}", lambda _number: range_
    )


def _mutation(name: str, field: str, fields: str, make_input: Callable[[int], dict[str, Any]]) -> Operation:
    """Return an operation that runs a mutation; ``make_input`` makes its input from the number of the call."""
    kind = f"{field[0].upper()}{field[1:]}Input"
    document = f"mutation($input: {kind}!) {{ {field}(input: $input) {{ {fields} userErrors {{ code message }} }} }}"
    return Operation(name, document, lambda number: {"input": make_input(number)})


def _purchase(number: int) -> dict[str, Any]:
    """Return the input of a purchase."""
    return {
        "kind": "ORDER",
        "externalId": f"scale-{number}",
        "status": "COMPLETED",
        "customer": _customer(number),
        "total": TEN_EUROS,
    }


def _hold(number: int) -> dict[str, Any]:
    """Return the input of a hold."""
    return {
        "customer": _customer(number),
        "points": 1,
        "subtotal": TEN_EUROS,
        "purchase": {"kind": "ORDER", "externalId": f"cart-{number}"},
        "idempotencyKey": f"hold-{number}",
    }


def _adjustment(amount: int) -> Callable[[int], dict[str, Any]]:
    """Return the function that makes the input of an adjustment by so many points."""
    return lambda number: {
        "customer": _customer(number),
        "amount": amount,
        "idempotencyKey": f"adjust-{amount}-{number}",
    }


OPERATIONS = (
    _one("customer", "fullName account { available pending held } tier { name } tierProgress { percent }"),
    _one("customer: what expires", "expirySchedule { expiresAt }"),
    _one("customer: activity", "activity(first: 20) { nodes { id points occurredAt } }"),
    _one("customer: purchases", "purchases(first: 20) { nodes { id } }"),
    _one("customer: lots", "lots(first: 20) { nodes { id } }"),
    _one("customer: redemptions", "redemptions(first: 20) { nodes { id } }"),
    _one("customer: tier history", "tierHistory { changedAt }"),
    _page("customers", "customers(first: 50)", "id fullName account { available } tier { name }"),
    _page("customers: search", 'customers(search: "customer 12", first: 20)'),
    _page("purchases", "purchases(first: 50)"),
    _page("holds", "holds(first: 50)"),
    _page("redemptions", "redemptions(first: 50)"),
    _page("adjustments", "adjustments(first: 50)"),
    Operation("events", "{ events(first: 50) { nodes { kind occurredAt } hasNextPage } }"),
    _report("report: a month", "pointsEarned pointsRedeemed", MONTH),
    _report("report: active of a month", "activeCustomers", MONTH),
    _report("report: all time", "pointsEarned pointsRedeemed", ALL_TIME),
    _report("report: active of all time", "activeCustomers", ALL_TIME),
    _report("report: days of a quarter", "daily { days { day movements { earned } } }", QUARTER),
    _report("report: activity", "activity(first: 50) { nodes { id points customer { fullName } } }", ALL_TIME),
    Operation(
        "quote",
        "query($input: CheckoutQuoteInput!) { checkoutQuote(input: $input) { __typename } }",
        lambda number: {"input": {"customer": _customer(number), "subtotal": TEN_EUROS, "points": 5}},
    ),
    _mutation("purchase", "purchaseRecord", "purchase { id }", _purchase),
    _mutation("adjustment: give", "pointsAdjust", "adjustment { id }", _adjustment(5)),
    _mutation("adjustment: take", "pointsAdjust", "adjustment { id }", _adjustment(-5)),
    _mutation("hold", "redemptionHold", "hold { id }", _hold),
)
