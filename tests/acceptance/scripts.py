"""Run the scripts of the guides as their readers would."""

import asyncio
import csv
import os
import sys
from pathlib import Path
from typing import NamedTuple

from tests.acceptance.business import Business
from tests.acceptance.client import Caller

GUIDES = Path(__file__).parents[2] / "docs" / "guides"


class Ran(NamedTuple):
    """The exit code of a script, and its output."""

    code: int
    out: str
    err: str


async def run_script(salon: Business, name: str, file: Path, *options: str, caller: Caller | None = None) -> Ran:
    """Run a script of the guides over a file, as a booking system or somebody else."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(GUIDES / name),
        str(file),
        *("--url", salon.installation.servers[0].url, *options),
        env={**os.environ, "TOKEN": (caller or salon.manager).token or ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return Ran(process.returncode, out.decode().strip(), err.decode().strip())


def write_rows(file: Path, head: str, rows: list[str]) -> None:
    """Write a CSV file as a spreadsheet does."""
    file.write_text("\n".join([head, *rows]) + "\n", "utf-8-sig")


def read_refused(file: Path) -> list[dict[str, str]]:
    """Return what a script has left in the file of what was refused."""
    with file.with_name(f"{file.name}.refused").open(encoding="utf-8", newline="") as refused:
        return list(csv.DictReader(refused))
