import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from cli.main import COMMANDS, main
from runtime.roles import DatabaseUrls

SLOW_TO_IMPORT = ("sqlalchemy", "strawberry", "graphql", "psycopg", "pydantic", "alembic", "uvicorn")


def test_help_lists_every_command_without_importing_the_service() -> None:
    program = f"""
import sys
from cli.main import main
try:
    main(["--help"])
finally:
    assert not [name for name in {SLOW_TO_IMPORT} if name in sys.modules]
"""
    shown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert all(f"  {name} " in shown.stdout and command.summary in shown.stdout for name, command in COMMANDS.items())


@pytest.mark.parametrize("module", ["cli.tenant", "cli.platform", "cli.documents"])
def test_a_command_imports_the_service_only_when_it_works(module: str) -> None:
    program = f"""
import importlib, sys
importlib.import_module({module!r})
print([name for name in {SLOW_TO_IMPORT} if name in sys.modules])
"""
    shown = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert shown.stdout == "[]\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_registered_command_exists_and_explains_itself(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.help
    assert CliRunner().invoke(main, [name, "--help"]).exit_code == 0


def test_refuses_an_unknown_command() -> None:
    result = CliRunner().invoke(main, ["nonsense"])
    assert result.exit_code == 2
    assert "No such command" in result.output


def test_shows_what_to_change_without_a_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREUE_PORT", "http")
    result = CliRunner().invoke(main, ["database", "status"])
    assert result.exit_code == 2
    assert result.output.startswith("Error: Wrong settings: TREUE_PORT: ")
    assert result.output.count("\n") == 1
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "words",
    [
        ("tenant", "list"),
        ("tenant", "create", "--name", "Salon", "--currency", "EUR", "--time-zone", "Europe/Berlin"),
        ("platform", "token", "list"),
        ("tenant", "suspend", "01a2216a-851f-7000-8000-000000000000"),
        ("verify",),
        ("gift-cards", "reseal"),
    ],
    ids=" ".join,
)
def test_a_command_says_that_tables_are_missing(
    empty_database_urls: DatabaseUrls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    keys = tmp_path / "keys.txt"
    keys.write_text(f"{'0d' * 32}\n")
    monkeypatch.setenv("TREUE_GIFT_CARD_KEYS_FILE", str(keys))
    for role, url in empty_database_urls._asdict().items():
        monkeypatch.setenv(f"TREUE_{role.upper()}_URL", url)
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 1
    assert result.output.splitlines()[-1].endswith("is needed: treue migrate.")
    assert result.output.count("\n") == 1


def test_the_installed_program_answers() -> None:
    shown = subprocess.run([sys.executable, "-m", "cli.main", "--version"], check=True, capture_output=True, text=True)
    assert shown.stdout == "treue, version 0.1.0\n"
