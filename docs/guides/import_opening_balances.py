#!/usr/bin/env python3
"""Bring the customers of a CSV file along with the points they had elsewhere. Standard library only.

    TOKEN=... python3 import_opening_balances.py customers.csv --url http://127.0.0.1:8321/graphql

Columns: id, name, email, locale, category, consent (yes or no), points (blank is 0, below 0 is debt), lifetime_points,
qualifying_points, earned_on, expires_on (2026-12-31). Only `id` must be there; a blank cell says nothing. Lines that
were refused go to `customers.csv.refused`, with the reason. Run it again whenever you like: nothing is counted twice.
"""

import argparse
import csv
import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

BATCH = 500
ATTEMPTS = 5
DOCUMENT = """
mutation Import($items: [OpeningBalanceInput!]!) {
  openingBalancesImport(input: {items: $items}) {
    results { replayed userErrors { message } }
    warnings { message path }
    userErrors { message }
  }
}
"""
TEXTS = {"name": "fullName", "email": "email", "locale": "locale", "category": "category"}
NUMBERS = {"lifetime_points": "lifetimePoints", "qualifying_points": "qualifyingPoints"}
DAYS = {"earned_on": "earnedOn", "expires_on": "expiresOn"}
CONSENT = {"yes": True, "no": False}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--url", default="http://127.0.0.1:8321/graphql")
    given = parser.parse_args()
    # utf-8-sig: spreadsheets write a mark in front of the first column.
    with given.file.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    counts = {"new": 0, "again": 0, "refused": 0, "warnings": 0}
    refused = []
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        payload = send(given.url, [item_of(row) for row in batch])
        for row, result in zip(batch, payload["results"], strict=True):
            if result["userErrors"]:
                refused.append({**row, "reason": " ".join(error["message"] for error in result["userErrors"])})
            counts["refused" if result["userErrors"] else "again" if result["replayed"] else "new"] += 1
        for warning in payload["warnings"]:
            # The path is items.<number>.customer.<field>; the head of the file is line 1.
            print(f"line {start + int(warning['path'][1]) + 2}: {warning['message']}", file=sys.stderr)
            counts["warnings"] += 1
    if refused:
        with given.file.with_name(given.file.name + ".refused").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(refused[0]))
            writer.writeheader()
            writer.writerows(refused)
    print(", ".join(f"{count} {name}" for name, count in counts.items()))
    return 1 if refused else 0


def item_of(row):
    """One line as the API takes it. What is no number goes as it is: the answer says what is wrong with it."""
    cells = {name: value.strip() for name, value in row.items() if name and value and value.strip()}
    customer = {"externalId": cells.get("id", "")}
    customer |= {field: cells[name] for name, field in TEXTS.items() if name in cells}
    if "consent" in cells:
        customer["marketingConsent"] = CONSENT.get(cells["consent"].lower())
    numbers = {field: number(cells[name]) for name, field in NUMBERS.items() if name in cells}
    days = {field: cells[name] for name, field in DAYS.items() if name in cells}
    return {"customer": customer, "points": number(cells.get("points", "0")), **numbers, **days}


def number(text):
    try:
        return int(text)
    except ValueError:
        return text


def send(url, items):
    """One batch; sent again when the answer is lost, which counts nothing twice."""
    body = json.dumps({"query": DOCUMENT, "variables": {"items": items}}).encode()
    headers = {"Content-Type": "application/json", "Authorization": "Bearer " + os.environ["TOKEN"]}
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as answer:
                answered = json.load(answer)
        except OSError as error:
            if attempt == ATTEMPTS or (isinstance(error, urllib.error.HTTPError) and error.code != 503):
                raise
            time.sleep(2**attempt)
            continue
        if answered.get("errors"):
            sys.exit(answered["errors"][0]["message"])
        payload = answered["data"]["openingBalancesImport"]
        if payload["userErrors"]:
            sys.exit(payload["userErrors"][0]["message"])
        return payload
    return None


if __name__ == "__main__":
    sys.exit(main())
