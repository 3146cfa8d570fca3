"""The script of the guide brings a file along as exports are: blanks, debts, duplicates and broken descriptions."""

import asyncio
import csv
import os
import sys
from pathlib import Path

from tests.acceptance.business import Business
from tests.acceptance.client import find_customer

SCRIPT = Path(__file__).parents[2] / "docs" / "guides" / "import_opening_balances.py"
HEAD = ["id", "name", "email", "locale", "consent", "points", "lifetime_points", "earned_on"]
ROWS = 620


async def run_script(salon: Business, file: Path) -> tuple[int, str, str]:
    """Run the script as a reader of the guide would."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(SCRIPT),
        str(file),
        "--url",
        salon.installation.servers[0].url,
        env={**os.environ, "TOKEN": salon.manager.token or ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def write(file: Path, rows: list[list[str]]) -> None:
    """A file as a spreadsheet writes it."""
    with file.open("w", encoding="utf-8-sig", newline="") as out:
        csv.writer(out).writerows([HEAD, *rows])


def refused_ids(file: Path) -> list[str]:
    """The ids in the file of what was refused."""
    with file.with_name(f"{file.name}.refused").open(encoding="utf-8", newline="") as refused:
        return [row["id"] for row in csv.DictReader(refused)]


async def test_a_file_of_customers_moves_in_once(salon: Business, tmp_path: Path) -> None:
    rows = [[str(number), f"Customer {number}", "", "", "", str(number), "", ""] for number in range(ROWS)]
    rows[1] = ["1", "", "", "", "", "", "", ""]  # blanks: 0 points
    rows[2] = ["2", "Debtor", "k.A.", "de_DE", "yes", "-50", "300", ""]
    rows[3] = ["3", "Old", "", "", "no", "30", "", "2020-02-29"]
    rows[4] = rows[0]
    rows[599] = [" 5 ", "Customer 5", "", "", "", "5", "", ""]  # an exact duplicate in the other batch
    rows[600] = ["6", "Customer 6", "", "", "", "7", "", ""]  # other points
    rows[601] = ["", "Nobody", "", "", "", "7", "", ""]
    rows[602] = ["602", "", "", "", "", "1.250", "", ""]
    rows[603] = ["603", "", "", "", "", "12", "", "01.02.2020"]
    file = tmp_path / "customers.csv"
    write(file, rows)
    code, out, err = await run_script(salon, file)
    assert (code, out.strip()) == (1, f"{ROWS - 6} new, 2 again, 4 refused, 2 warnings"), err
    assert [line.partition(":")[0] for line in err.strip().splitlines()] == ["line 4", "line 4"]
    assert refused_ids(file) == ["6", "", "602", "603"]
    shown = "points { available debt lifetimeEarned } email locale marketingConsent"
    assert await find_customer(salon.staff, "2", shown) == {
        "points": {"available": 0, "debt": 50, "lifetimeEarned": 300},
        "email": None,
        "locale": "de-DE",
        "marketingConsent": True,
    }
    assert (await find_customer(salon.staff, "1", shown))["points"]["available"] == 0
    assert (await find_customer(salon.staff, "619", shown))["points"]["available"] == 619
    async with salon.unchanged():
        code, out, _ = await run_script(salon, file)
        assert out.strip() == f"0 new, {ROWS - 4} again, 4 refused, 2 warnings"
    await salon.check_ledger()
