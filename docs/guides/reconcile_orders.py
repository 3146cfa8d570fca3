#!/usr/bin/env python3
"""Compare the shop's orders with what is recorded, and print what differs. Standard library only.

    TOKEN=... python3 reconcile_orders.py orders.csv --url http://127.0.0.1:8321/graphql --cursor reconcile.cursor

Columns: id, status, total, customer. A blank cell is not compared. Each difference is one line of
`id, field, in the shop, recorded`, on standard output; the exit code is 1 when there are some.

With `--cursor` it also reads the log of events from where it was the last time, and names purchases that moved points
since then and do not stand in the file (`only recorded`). So a nightly run over the orders of a day finds both kinds.
The first run begins at the beginning of the log.
"""

import argparse
import csv
import sys
from decimal import Decimal, InvalidOperation
from pathlib import Path

from treue_api import URL, ask, read_rows

AT_ONCE = 100
ORDERS = """
query Orders($keys: [PurchaseKeyInput!]!) {
  purchasesByKey(keys: $keys) { status total { amount } customer { externalId } }
}
"""
EVENTS = """
query Events($after: Cursor) {
  events(after: $after, kinds: [POINTS_EARNED, POINTS_PENDING, POINTS_VOIDED, POINTS_REVERSED], first: 100) {
    nodes { purchase { kind externalId } }
    endCursor
    hasNextPage
  }
}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--url", default=URL)
    parser.add_argument("--kind", default="ORDER", choices=["APPOINTMENT", "CLASS", "ORDER"])
    parser.add_argument("--cursor", type=Path, help="where the place in the log of events is kept")
    given = parser.parse_args()
    rows = read_rows(given.file)
    differences = []
    for start in range(0, len(rows), AT_ONCE):
        batch = rows[start : start + AT_ONCE]
        keys = [{"kind": given.kind, "externalId": row.get("id", "")} for row in batch]
        found = ask(given.url, ORDERS, {"keys": keys})["purchasesByKey"]
        for row, purchase in zip(batch, found, strict=True):
            differences += compare(row, purchase)
    if given.cursor is not None:
        told, cursor = read_events(given)
        known = {row.get("id") for row in rows}
        differences += [(name, "order", "", "only recorded") for name in told if name not in known]
    writer = csv.writer(sys.stdout)
    writer.writerows(differences)
    print(f"{len(rows)} orders, {len(differences)} differences", file=sys.stderr)
    if given.cursor is not None and cursor is not None:
        # Last, so that a run that was interrupted looks at the same events again.
        given.cursor.write_text(cursor, "utf-8")
    return 1 if differences else 0


def compare(row, purchase):
    """What differs of one order."""
    name = row.get("id", "")
    if purchase is None:
        return [(name, "order", "only in the shop", "")]
    recorded = {
        "status": purchase["status"],
        "total": purchase["total"]["amount"],
        "customer": purchase["customer"]["externalId"],
    }
    return [
        (name, field, row[field], value)
        for field, value in recorded.items()
        if field in row and not same(field, row[field], value)
    ]


def same(field, told, recorded):
    if field == "total":
        try:
            return Decimal(told) == Decimal(recorded)
        except InvalidOperation:
            return False
    return told.casefold() == recorded.casefold() if field == "status" else told == recorded


def read_events(given):
    """The purchases that moved points since the last time, and the place in the log to go on from."""
    after = given.cursor.read_text("utf-8").strip() if given.cursor.exists() else None
    names = {}
    while True:
        page = ask(given.url, EVENTS, {"after": after})["events"]
        for event in page["nodes"]:
            purchase = event["purchase"]
            if purchase is not None and purchase["kind"] == given.kind:
                names[purchase["externalId"]] = True
        after = page["endCursor"]
        if not page["hasNextPage"]:
            return list(names), after


if __name__ == "__main__":
    sys.exit(main())
