"""The script of the guide brings a file along as exports are: blanks, debts, duplicates and broken descriptions."""

from pathlib import Path

from tests.acceptance.business import Business
from tests.acceptance.client import find_customer
from tests.acceptance.scripts import read_refused, run_script, write_rows

SCRIPT = "import_opening_balances.py"
HEAD = "id,name,email,locale,consent,points,lifetime_points,earned_on"
ROWS = 620


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
    write_rows(file, HEAD, [",".join(row) for row in rows])
    ran = await run_script(salon, SCRIPT, file)
    assert (ran.code, ran.out) == (1, f"{ROWS - 6} new, 2 again, 4 refused, 2 warnings"), ran.err
    assert [line.partition(":")[0] for line in ran.err.splitlines()] == ["line 4", "line 4"]
    assert [row["id"] for row in read_refused(file)] == ["6", "", "602", "603"]
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
        again = await run_script(salon, SCRIPT, file)
        assert again.out == f"0 new, {ROWS - 4} again, 4 refused, 2 warnings"
    await salon.check_ledger()
