#!/usr/bin/env python3
"""Bring the catalogue of a CSV file along: services, products, categories, locations, staff. Standard library only.

    TOKEN=... python3 import_catalog.py catalogue.csv --url http://127.0.0.1:8321/graphql --currency EUR

Columns: kind, id, name, category, time_zone, enrolled (yes or no), earning (PROGRAM or NOTHING), points_per_unit,
rate_points and rate_per (so many points for each so much money). `kind` and `id` must be there, and `name` for an item
that is new; a blank cell says nothing. Rows that were refused go to `catalogue.csv.refused`, with the reason.
Run it again whenever you like: an item that is sent as it is known stays as it is.
"""

import argparse
import sys
from pathlib import Path

from treue_api import URL, ask, finish, read_rows, reasons

BATCH = 1_000
DOCUMENT = """
mutation Keep($items: [CatalogItemInput!]!) {
  catalogItemsUpsert(input: {items: $items}) { items { externalId } userErrors { message path } }
}
"""
KINDS = {"SERVICE", "CLASS", "PRODUCT", "CATEGORY", "LOCATION", "STAFF"}
EARNINGS = {"PROGRAM", "NOTHING"}
ENROLLED = {"yes": True, "no": False}
TEXTS = {"name": "name", "category": "category", "time_zone": "timeZone"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--url", default=URL)
    parser.add_argument("--currency", default="EUR", help="the currency of rate_per")
    given = parser.parse_args()
    rows, refused, kept = read_rows(given.file), [], 0
    for start in range(0, len(rows), BATCH):
        batch = []
        for row in rows[start : start + BATCH]:
            try:
                batch.append((row, item_of(row, given.currency)))
            except ValueError as problem:
                refused.append({**row, "reason": str(problem)})
        kept += keep(given.url, batch, refused)
    return finish(given.file, {"kept": kept, "refused": len(refused)}, refused)


def keep(url, batch, refused):
    """Send a batch, which is taken whole or not at all: what is refused is left out, and the rest is sent again."""
    while batch:
        payload = ask(url, DOCUMENT, {"items": [item for _, item in batch]})["catalogItemsUpsert"]
        if not payload["userErrors"]:
            return len(batch)
        wrong = {}
        for error in payload["userErrors"]:
            path = error["path"] or []
            if len(path) < 2 or path[0] != "items":
                sys.exit(error["message"])
            wrong.setdefault(int(path[1]), []).append(error)
        refused += [{**batch[place][0], "reason": reasons(errors)} for place, errors in sorted(wrong.items())]
        batch = [one for place, one in enumerate(batch) if place not in wrong]
    return 0


def item_of(row, currency):
    """One row as the API takes it. Raises ValueError for what GraphQL would refuse with the whole batch."""
    item = {"kind": one_of(row, "kind", KINDS), "externalId": row.get("id", "")}
    item |= {field: row[name] for name, field in TEXTS.items() if name in row}
    if "enrolled" in row:
        item["enrolled"] = ENROLLED[one_of(row, "enrolled", ENROLLED)]
    if "earning" in row:
        item["earning"] = one_of(row, "earning", EARNINGS)
    if "points_per_unit" in row:
        item["pointsPerUnit"] = whole(row, "points_per_unit")
    if "rate_points" in row or "rate_per" in row:
        per = {"amount": row.get("rate_per", ""), "currency": currency}
        item["rate"] = {"points": whole(row, "rate_points"), "per": per}
    return item


def one_of(row, name, allowed):
    for value in allowed:
        if row.get(name, "").casefold() == value.casefold():
            return value
    raise ValueError(f"{name} must be one of {', '.join(sorted(allowed))}.")


def whole(row, name):
    try:
        return int(row.get(name, ""))
    except ValueError:
        raise ValueError(f"{name} must be a whole number.") from None


if __name__ == "__main__":
    sys.exit(main())
