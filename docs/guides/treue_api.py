"""What the scripts of the guides share: one call of the API that may be repeated, and files of what was refused."""

import csv
import json
import os
import sys
import time
import urllib.error
import urllib.request

URL = "http://127.0.0.1:8321/graphql"
ATTEMPTS = 6
LONGEST_WAIT = 60


def ask(url, document, variables):
    """The data of an answer. A call whose answer is lost is sent again; all calls of the scripts may be."""
    body = json.dumps({"query": document, "variables": variables}).encode()
    headers = {"Content-Type": "application/json", "Authorization": "Bearer " + os.environ["TOKEN"]}
    for attempt in range(1, ATTEMPTS + 1):
        wait = min(2**attempt, LONGEST_WAIT)
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=120) as answer:
                answered = json.load(answer)
        except urllib.error.HTTPError as error:
            if error.code not in {429, 503} or attempt == ATTEMPTS:
                sys.exit(f"HTTP {error.code}: {error.read().decode(errors='replace')[:500]}")
            wait = float(error.headers.get("Retry-After") or wait)
        except OSError as error:
            if attempt == ATTEMPTS:
                sys.exit(f"{url} cannot be reached: {error}")
        else:
            errors = answered.get("errors")
            if not errors:
                return answered["data"]
            extensions = errors[0].get("extensions", {})
            if extensions.get("code") not in {"UNAVAILABLE", "RATE_LIMITED"} or attempt == ATTEMPTS:
                sys.exit(f"{extensions.get('code')}: {errors[0]['message']}")
            wait = float(extensions.get("retryAfterSeconds") or wait)
        time.sleep(min(wait, LONGEST_WAIT))
    return None


def read_rows(file):
    """The rows of a CSV file with a head, or of a file with one JSON object in each line."""
    # utf-8-sig: spreadsheets write a mark in front of the first column.
    with file.open(encoding="utf-8-sig", newline="") as lines:
        if file.suffix in {".jsonl", ".ndjson"}:
            return [parse_line(line) for line in lines if line.strip()]
        return [
            {name: value.strip() for name, value in row.items() if name and value and value.strip()}
            for row in csv.DictReader(lines)
        ]


def parse_line(line):
    try:
        row = json.loads(line)
    except ValueError as error:
        return {"unreadable": line.strip(), "problem": str(error)}
    return row if isinstance(row, dict) else {"unreadable": line.strip(), "problem": "is no JSON object"}


def reasons(errors):
    """Why something was refused, in one line."""
    return " ".join(error["message"] for error in errors)


def write_refused(file, refused):
    """Keep the refused rows with their reasons beside the file, or nothing when all went well."""
    target = file.with_name(file.name + ".refused")
    target.unlink(missing_ok=True)
    if not refused:
        return
    with target.open("w", encoding="utf-8", newline="") as out:
        if file.suffix in {".jsonl", ".ndjson"}:
            out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in refused)
            return
        names = list(dict.fromkeys(name for row in refused for name in row))
        writer = csv.DictWriter(out, names)
        writer.writeheader()
        writer.writerows(refused)


def finish(file, counts, refused):
    """Tell how it went; the exit code is 1 when something was refused."""
    write_refused(file, refused)
    print(", ".join(f"{count} {name}" for name, count in counts.items()))
    return 1 if refused else 0
