#!/usr/bin/env python3
"""Report the orders of a file, 500 at a time, and go on where it was interrupted. Standard library only.

    TOKEN=... python3 report_orders.py orders.csv --url http://127.0.0.1:8321/graphql --currency EUR

CSV columns: id, status, customer, total, item, quantity, unit_price, line_id, occurred_at, location, staff. Rows with
one `id` and one status (or a blank one) that follow one another are the lines of one order. A blank cell says nothing:
a thin report, such as `id`, `status` and `customer` alone, leaves everything else as it is known. Or a file `.jsonl`
with one purchase in each line, as `purchasesRecord` takes it.

What was refused goes to `orders.csv.refused`, with the reason. How far it has come stands in `orders.csv.done`; delete
it to begin again. A report that was sent before counts nothing twice.
"""

import argparse
import json
import sys
from pathlib import Path

from treue_api import URL, ask, finish, read_rows, reasons

BATCH = 500
DOCUMENT = """
mutation Report($items: [PurchaseRecordInput!]!) {
  purchasesRecord(input: {items: $items}) {
    results { replayed userErrors { message } }
    warnings { message path }
    userErrors { message }
  }
}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--url", default=URL)
    parser.add_argument("--currency", default="EUR")
    parser.add_argument("--kind", default="ORDER", choices=["APPOINTMENT", "CLASS", "ORDER"])
    given = parser.parse_args()
    done = given.file.with_name(given.file.name + ".done")
    orders = read_orders(given)
    # What was refused before it was interrupted is kept here, so that the file of refused rows is whole in the end.
    start, counts, refused = json.loads(done.read_text("utf-8")) if done.exists() else (0, None, [])
    counts = counts or {"new": 0, "again": 0, "refused": 0, "warnings": 0}
    while start < len(orders):
        report(given.url, orders[start : start + BATCH], counts, refused)
        start += BATCH
        # Written beside and put in its place at once: an interruption leaves the old one or the new one.
        beside = done.with_name(done.name + ".new")
        beside.write_text(json.dumps([start, counts, refused]), "utf-8")
        beside.replace(done)
    return finish(given.file, counts, refused)


def report(url, batch, counts, refused):
    """Send one batch: a bad order harms no other."""
    fit = [(rows, item) for rows, item in batch if item is not None]
    for rows, item in batch:
        if item is None:
            refused += [{**row, "reason": row.get("problem", "is no order.")} for row in rows]
            counts["refused"] += 1
    if not fit:
        return
    payload = ask(url, DOCUMENT, {"items": [item for _, item in fit]})["purchasesRecord"]
    if payload["userErrors"]:
        sys.exit(reasons(payload["userErrors"]))
    for (rows, _), result in zip(fit, payload["results"], strict=True):
        if result["userErrors"]:
            refused += [{**row, "reason": reasons(result["userErrors"])} for row in rows]
        counts["refused" if result["userErrors"] else "again" if result["replayed"] else "new"] += 1
    for warning in payload["warnings"]:
        print(f"{fit[int(warning['path'][1])][1]['externalId']}: {warning['message']}", file=sys.stderr)
        counts["warnings"] += 1


def read_orders(given):
    """Each order with the rows of the file that it stands in; None for what is no order."""
    rows = read_rows(given.file)
    if given.file.suffix in {".jsonl", ".ndjson"}:
        return [([row], None if "unreadable" in row else {"kind": given.kind, **row}) for row in rows]
    reports = []
    for row in rows:
        first = reports[-1][0] if reports else {}
        if reports and row.get("id") == first.get("id") and row.get("status") in {None, first.get("status")}:
            reports[-1].append(row)
        else:
            reports.append([row])
    return [(lines, item_of(lines, given)) for lines in reports]


def item_of(rows, given):
    """The rows of one order as the API takes them. What is wrong goes as it is: the answer says what."""

    def money(amount):
        return {"amount": amount, "currency": given.currency}

    told = {name: value for row in reversed(rows) for name, value in row.items()}
    item = {"kind": given.kind, "externalId": told.get("id", ""), "status": told.get("status", "").upper()}
    item["customer"] = {"externalId": told.get("customer", "")}
    if "total" in told:
        item["total"] = money(told["total"])
    names = {"occurred_at": "occurredAt", "location": "location", "staff": "staff"}
    item |= {field: told[name] for name, field in names.items() if name in told}
    lines = [row for row in rows if "unit_price" in row or "item" in row]
    if lines:
        item["lines"] = [
            {
                "item": row.get("item"),
                "lineId": row.get("line_id"),
                "quantity": row.get("quantity", "1"),
                "unitPrice": money(row.get("unit_price", "")),
            }
            for row in lines
        ]
    return item


if __name__ == "__main__":
    sys.exit(main())
