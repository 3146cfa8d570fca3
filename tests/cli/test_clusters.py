"""The commands on two clusters: they migrate both, create tenants in either, and see all."""

from collections.abc import Callable

import orjson
import pytest
from click.testing import CliRunner, Result

from cli.main import main
from runtime.roles import DatabaseUrls
from tests.fixtures.database import DatabaseServer

CREATE = ("tenant", "create", "--name", "Studio", "--currency", "EUR", "--time-zone", "Europe/Berlin")


@pytest.fixture
def treue(
    database_server: DatabaseServer,
    own_database_urls: DatabaseUrls,
    empty_database_urls: DatabaseUrls,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Result]:
    """Provide the command line; the second cluster is not migrated yet."""
    assert database_server
    for role, url in own_database_urls._asdict().items():
        monkeypatch.setenv(f"TREUE_{role.upper()}_URL", url)
    entry = {f"{role}_url": url for role, url in empty_database_urls._asdict().items()}
    monkeypatch.setenv("TREUE_CLUSTERS", orjson.dumps({"east": entry}).decode())

    def call(*words: str) -> Result:
        return CliRunner().invoke(main, words)

    return call


def test_tenants_are_created_listed_and_changed_in_every_cluster(treue: Callable[..., Result]) -> None:
    assert treue("migrate").output == "2 databases are up to date.\n"
    ids = [treue(*CREATE, *words).output.strip() for words in (("--cluster", "east"), ("--cluster", "home"), ())]
    lines = treue("tenant", "list").output.splitlines()
    assert [line.split()[0] for line in lines] == ids
    assert [line.split()[2] for line in lines[:2]] == ["east", "home"]
    assert treue("tenant", "suspend", ids[0]).exit_code == 0
    assert treue("tenant", "list").output.splitlines()[0].endswith("SUSPENDED")
    assert treue("documents", "rule", "--tenant", ids[0], "CUSTOMERS").exit_code == 0
    verified = treue("verify")
    assert verified.exit_code == 0
    assert verified.output.count("adds up") == 3


def test_a_suspended_tenant_moves_and_leaves_a_copy_that_can_be_deleted(treue: Callable[..., Result]) -> None:
    assert treue("migrate").exit_code == 0
    tenant_id = treue(*CREATE, "--cluster", "east").output.strip()
    refused = treue("tenant", "move", tenant_id, "home")
    assert (refused.exit_code, "must be SUSPENDED" in refused.output) == (1, True)
    assert treue("tenant", "suspend", tenant_id).exit_code == 0
    moved = treue("tenant", "move", tenant_id, "home")
    assert (moved.exit_code, f"{tenant_id} lives in home" in moved.output) == (0, True), moved.output
    assert treue("tenant", "move", tenant_id, "home", "--give-up").exit_code == 1
    assert treue("tenant", "resume", tenant_id).exit_code == 0
    assert treue("tenant", "list").output.split() == [tenant_id, "Studio", "home"]
    assert treue("verify").exit_code == 0
    assert "are deleted in east" in treue("tenant", "forget", tenant_id, "east").output
    assert treue("tenant", "forget", tenant_id, "home").exit_code == 1


def test_a_cluster_that_is_not_there_is_named(treue: Callable[..., Result]) -> None:
    assert treue("migrate").exit_code == 0
    refused = treue(*CREATE, "--cluster", "west")
    assert refused.exit_code == 1
    assert "home, east" in refused.output
    assert treue("tenant", "list").output == ""
    refused = treue("worker", "--cluster", "west")
    assert refused.exit_code == 1
    assert "'west'" in refused.output
