"""The demo starts whatever was tried in it, answers Ctrl-C at once, and leaves tokens that a shell can source."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from cli.demo_tenants import STATE_FILE
from tests.cli.test_serve import data_dir  # noqa: F401 - a fixture

START_SECONDS = 400
STOP_SECONDS = 60
ROOT = Path(__file__).parents[2]


@contextmanager
def demo(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Yield the demo as a process of its own, on any free port."""
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    environment |= {"TREUE_DATA_DIR": str(folder), "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "cli.main", "demo", "--port", "0", *arguments]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def wait_for(process: subprocess.Popen[str], word: str) -> str:
    """Read until a line holds the word; what was read so far."""
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if word in line:
            return seen
    raise AssertionError(seen)


def end(process: subprocess.Popen[str]) -> None:
    """Press Ctrl-C; the demo says goodbye and has failed at nothing."""
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=STOP_SECONDS)
    assert process.returncode == 0, said
    assert "Traceback" not in said


def environment_of(folder: Path) -> dict[str, str]:
    """Return what a shell has after it has sourced the file."""
    file = folder / "demo.env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    shell = subprocess.run(["sh", "-c", f". {file} && env"], check=True, capture_output=True, text=True)  # noqa: S607
    return dict(line.split("=", 1) for line in shell.stdout.splitlines() if "=" in line)


def ask(sourced: dict[str, str], document: str, **variables: Any) -> Any:
    """Return the data of an operation of the manager."""
    headers = {"Authorization": f"Bearer {sourced['MANAGER']}"}
    body = {"query": document, "variables": variables}
    answer = httpx2.post(sourced["TREUE_URL"], json=body, headers=headers, timeout=60).json()
    assert "errors" not in answer, answer
    return answer["data"]


def assert_cards_were_sold(sourced: dict[str, str]) -> None:
    """Check that the report has cards of every origin, and outstanding and lost money. A gift was claimed."""
    data = ask(
        sourced,
        """{ giftCardReport(range: {from: "2020-01-01", to: "2099-12-31"}) { figures { forPoints { cards points }
        forMoney { cards price { amount } } forGoodwill { cards } spent { amount } breakage { amount }
        voided { amount } outstanding { amount } } }
        giftCards(first: 100) { nodes { gifts { claimedAt } } } }""",
    )
    (figures,) = data["giftCardReport"]["figures"]
    for origin in ("forPoints", "forMoney", "forGoodwill"):
        assert figures[origin]["cards"] > 0, origin
    assert figures["forPoints"]["points"] > 0
    assert figures["forMoney"]["price"]["amount"] > "0"
    for name in ("spent", "breakage", "voided", "outstanding"):
        assert float(figures[name]["amount"]) > 0, name
    assert any(gift["claimedAt"] for card in data["giftCards"]["nodes"] for gift in card["gifts"])


def test_the_demo_starts_whatever_was_done_to_it(data_dir: Path) -> None:  # noqa: F811
    """Stopped in the middle of its first start; then without tiers and rules, and switched off."""
    with demo(data_dir) as process:
        wait_for(process, "Salon Lindenhof")
        end(process)
    with demo(data_dir) as process:
        first = wait_for(process, "Ctrl-C stops everything")
        assert "Treue is running" in first
        written, started = ((data_dir / name).stat().st_mtime_ns for name in (STATE_FILE, "log"))
        assert written <= started, "the worker would end the holds of the past before they are captured"
        sourced = environment_of(data_dir)
        history = ask(
            sourced,
            """{ redemptions(first: 1) { nodes { points } } adjustments(first: 1) { nodes { points } }
            customers(having: PENDING, first: 1) { nodes { account { pending } } } tiers { id } program { version }
            earningRules(first: 100) { nodes { id } } }""",
        )
        assert history["redemptions"]["nodes"]
        assert history["adjustments"]["nodes"]
        assert history["customers"]["nodes"][0]["account"]["pending"] > 0
        assert_cards_were_sold(sourced)
        for field, rows in (("tierDelete", history["tiers"]), ("earningRuleDelete", history["earningRules"]["nodes"])):
            kind = f"{field[0].upper()}{field[1:]}Input!"
            for row in rows:
                gone = f"mutation($input: {kind}) {{ {field}(input: $input) {{ deletedId }} }}"
                assert ask(sourced, gone, input={"id": row["id"]})[field]["deletedId"]
        ask(sourced, "mutation { programUpdate(input: {enabled: false}) { userErrors { code } } }")
        end(process)
    with demo(data_dir, "--check") as process:
        again, _ = process.communicate(timeout=START_SECONDS)
        assert process.returncode == 0, again
        assert "Treue is running" in again
        assert "The program is switched off." in again
        assert "There is no earning rule." in again
