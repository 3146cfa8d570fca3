#!/usr/bin/env python3
"""Refund what came back, by order and SKU. Standard library only.

    TOKEN=... python3 return_by_sku.py returns.csv --url http://127.0.0.1:8321/graphql

Columns: return_id, order, sku, quantity (blank is 1), reason. Rows with one `return_id` that follow one another are one
return. The lines of the order that have the SKU are refunded in their order; what was refunded before is left out.
Points that had paid for it come back (`returnPoints: AUTO`). What was refused goes to `returns.csv.refused`, with the
reason. Which lines a return stands for is kept in `returns.csv.plan` before it is sent: so you may run it again
whenever you like, also after an interruption, and a `return_id` counts once.
"""

import argparse
import json
import sys
from decimal import Decimal, InvalidOperation
from itertools import groupby
from pathlib import Path

from treue_api import URL, ask, finish, read_rows, reasons

ORDER = """
query Order($keys: [PurchaseKeyInput!]!) {
  purchasesByKey(keys: $keys) {
    lines { item quantity }
    refunds { lines { line quantity } }
  }
}
"""
REFUND = """
mutation Refund($input: PurchaseRefundInput!) {
  purchaseRefund(input: $input) { replayed userErrors { message } }
}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--url", default=URL)
    parser.add_argument("--kind", default="ORDER", choices=["APPOINTMENT", "CLASS", "ORDER"])
    given = parser.parse_args()
    path = given.file.with_name(given.file.name + ".plan")
    plans = dict(map(json.loads, path.read_text("utf-8").splitlines())) if path.exists() else {}
    counts, refused = {"refunded": 0, "again": 0, "refused": 0}, []
    with path.open("a", encoding="utf-8") as kept:
        for name, rows in groupby(read_rows(given.file), key=lambda row: row.get("return_id")):
            lines_of_file = list(rows)
            try:
                counts[refund(given, name, lines_of_file, plans, kept)] += 1
            except ValueError as problem:
                refused += [{**row, "reason": str(problem)} for row in lines_of_file]
                counts["refused"] += 1
    return finish(given.file, counts, refused)


def refund(given, name, rows, plans, kept):
    """Refund one return; tells whether that was done before. Raises ValueError with the reason of a refusal."""
    order = rows[0].get("order", "")
    if name is None or any(row.get("order") != order for row in rows):
        raise ValueError("A return needs a return_id and one order.")
    key = {"kind": given.kind, "externalId": order}
    lines = plans.get(name)
    if lines is None:
        (found,) = ask(given.url, ORDER, {"keys": [key]})["purchasesByKey"]
        lines = plan_lines(rows, left_of(found))
        keep(kept, name, lines)
    refunded = {
        "purchase": {"key": key},
        "idempotencyKey": f"return {name}",
        "lines": lines,
        "reason": rows[0].get("reason"),
        "returnPoints": "AUTO",
    }
    payload = ask(given.url, REFUND, {"input": refunded})["purchaseRefund"]
    if payload["userErrors"]:
        # Nothing was written, so the next run plans it again.
        keep(kept, name, None)
        raise ValueError(reasons(payload["userErrors"]))
    return "again" if payload["replayed"] else "refunded"


def keep(kept, name, lines):
    kept.write(json.dumps([name, lines]) + "\n")
    kept.flush()


def plan_lines(rows, left):
    """The lines of an order that stand for the units of a return. Raises ValueError for more than is left."""
    planned = []
    for row in rows:
        try:
            wanted = Decimal(row.get("quantity", "1"))
        except InvalidOperation:
            raise ValueError("quantity must be a number.") from None
        for position, (sku, quantity) in enumerate(left):
            part = min(quantity, wanted)
            if sku == row.get("sku") and part > 0:
                planned.append({"line": position, "quantity": str(part)})
                left[position] = (sku, quantity - part)
                wanted -= part
        if wanted > 0:
            raise ValueError(f"The order has no {wanted} of {row.get('sku')} left to give back.")
    return planned


def left_of(order):
    """The SKU of each line, and what of it was not refunded yet. Raises ValueError where there is no order."""
    if order is None:
        raise ValueError("There is no such order.")
    left = [(line["item"], Decimal(line["quantity"])) for line in order["lines"]]
    for one in order["refunds"]:
        for line in one["lines"]:
            sku, quantity = left[line["line"]]
            left[line["line"]] = (sku, quantity - Decimal(line["quantity"]))
    return left


if __name__ == "__main__":
    sys.exit(main())
