from pathlib import Path

import pytest

from runtime.problems import SetupProblem
from runtime.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", *(f"TREUE_{field.upper()}" for field in Settings.model_fields)):
        monkeypatch.delenv(name, raising=False)


def test_needs_no_variable_at_all() -> None:
    settings = load_settings()
    assert settings.database_url is None
    assert settings.data_dir == Path(".treue")
    assert (settings.host, settings.port) == ("127.0.0.1", 8321)


def test_takes_database_url_without_our_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://admin:pw@db/postgres")
    assert load_settings().database_url == "postgresql://admin:pw@db/postgres"


def test_takes_everything_else_with_our_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1")
    monkeypatch.setenv("TREUE_PORT", "9000")
    monkeypatch.setenv("TREUE_LOG_LEVEL", "debug")
    settings = load_settings()
    assert settings.port == 9000
    assert settings.log_level == "DEBUG"


def test_an_empty_variable_means_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("TREUE_PORT", "")
    assert load_settings().database_url is None
    assert load_settings().port == 8321


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TREUE_PORT", "65536"),
        ("TREUE_PORT", "-1"),
        ("TREUE_PORT", "http"),
        ("TREUE_POOL_SIZE", "0"),
        ("TREUE_LOG_LEVEL", "LOUD"),
        ("TREUE_CORS_ORIGINS", "hunter2"),
        ("TREUE_DATABASE_NAME", 'treue"; DROP'),
        ("DATABASE_URL", "mysql://admin:hunter2@db/x"),
        ("TREUE_APP_URL", "hunter2"),
        ("TREUE_TRACES_URL", "collector:4318"),
        ("TREUE_TRACES_URL", "http://me:hunter2@collector/v1/traces"),
        ("TREUE_TRACES_URL", "http://collector/v1/traces?key=hunter2"),
        ("TREUE_TRACES_RATIO", "1.5"),
        ("TREUE_TRACES_RATIO", "nan"),
        ("TREUE_APP_URL", "postgresql://treue_app:hunter2@db/treue?no_such_option=1"),
    ],
)
def test_names_a_wrong_variable_but_not_its_value(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SetupProblem) as refusal:
        load_settings()
    assert f" {name}: " in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_never_shows_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "TREUE_OWNER_URL", "TREUE_APP_URL", "TREUE_RELAY_URL"):
        monkeypatch.setenv(name, "postgresql://someone:hunter2@db/treue")
    assert "hunter2" not in repr(load_settings())
    assert "hunter2" not in str(load_settings())


EAST = '{"app_url": "postgres://treue_app:pw@e/t", "relay_url": "postgresql://treue_relay:pw@e/t"}'


def test_reads_the_clusters_beside_the_home_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREUE_CLUSTERS", f'{{"east": {EAST}, "west": {{"database_url": "postgresql://admin@w/p"}}}}')
    clusters = load_settings().clusters
    assert list(clusters) == ["east", "west"]
    assert clusters["east"].app_url == "postgresql://treue_app:pw@e/t"
    assert clusters["west"].database_url == "postgresql://admin@w/p"
    assert "pw" not in repr(load_settings())


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("hunter2", "CLUSTERS"),
        ('["hunter2"]', "CLUSTERS"),
        (f'{{"home": {EAST}}}', "'home'"),
        (f'{{"East": {EAST}}}', "East"),
        ('{"east": {}}', "east"),
        ('{"east": {"app_url": "hunter2"}}', "east.app_url"),
        ('{"east": {"database_url": "mysql://admin:hunter2@e/t"}}', "east.database_url"),
        ('{"east": {"url": "postgresql://admin:hunter2@e/t"}}', "east.url"),
    ],
)
def test_names_a_wrong_cluster_but_not_its_value(value: str, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREUE_CLUSTERS", value)
    with pytest.raises(SetupProblem, match="TREUE_CLUSTERS") as refusal:
        load_settings()
    assert named in str(refusal.value)
    assert "hunter2" not in str(refusal.value)
