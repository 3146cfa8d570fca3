"""The three database roles and their database, made with an administrator's URL.

treue_owner owns the tables and migrates, treue_app serves, treue_relay relays events. None of them can become another
role. Passwords are made here, at random, and kept in `data_dir/roles.json`, which only its owner can read. The password
of a role may have a folder of its own, for the processes that work as this role.
"""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow
from pydantic import TypeAdapter, ValidationError

from runtime.problems import SetupProblem

OWNER_ROLE = "treue_owner"
APP_ROLE = "treue_app"
RELAY_ROLE = "treue_relay"
ROLES = (OWNER_ROLE, APP_ROLE, RELAY_ROLE)
SERVING_ROLES = (APP_ROLE, RELAY_ROLE)

OLDEST_POSTGRES = 150_000  # 15.0, as PostgreSQL counts
CONNECT_TIMEOUT_SECONDS = 10
DEFAULT_PORT = 5432
PASSWORD_BYTES = 32
PASSWORD_FILE = "roles.json"  # noqa: S105 - a file name
SERVING_SETTINGS = {
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "30s",
    "TimeZone": "UTC",
}
"""The settings of the serving roles, for every connection: a pooler drops the options of a new connection."""
NO_POWERS = sql.SQL("LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION")


NO_FOLDERS: Mapping[str, Path] = MappingProxyType({})


class DatabaseUrls(NamedTuple):
    """The URL of each role. It is empty in a process that does not know the role's password."""

    owner: str
    app: str
    relay: str


def prepare_database(
    admin_url: str,
    data_dir: Path,
    database: str,
    *,
    folders: Mapping[str, Path] = NO_FOLDERS,
    template: str | None = None,
    adopt_roles: bool = False,
) -> DatabaseUrls:
    """Make missing roles and a missing database, set the rights of the roles, and return the URLs.

    A second run changes nothing. `template` names a database to copy if this one is new. An existing role with an
    unknown password is refused, because another installation may use it; `adopt_roles` gives it a new password.
    `folders` names the roles whose passwords are kept outside of `data_dir`; a password in `data_dir` moves there.
    """
    with _lock_folder(data_dir), _connect(admin_url) as admin:
        _check_server(admin)
        server = _place(admin_url)
        kept = _read_passwords(data_dir, server) | _read_apart(folders, server)
        passwords = {role: secrets.token_urlsafe(PASSWORD_BYTES) for role in ROLES} | kept
        # Passwords are stored before they are used: a crash must not leave a role with an unknown password.
        _keep_passwords(data_dir, folders, server, passwords)
        urls = _database_urls(admin_url, passwords, database)
        try:
            for role in ROLES:
                _prepare_role(admin, role, passwords[role])
            for role in SERVING_ROLES:
                _prepare_settings(admin, role)
            _create_database(admin, database, template)
            for role, url in zip(ROLES, urls, strict=True):
                _prepare_password(admin, role, passwords[role], url, adopt=adopt_roles)
            _guard_database(urls.owner, database)
        except psycopg.Error as error:
            raise SetupProblem(f"PostgreSQL at {server} refused to prepare {database}: {error}") from error
    return urls


def read_stored_urls(
    server_url: str, data_dir: Path, database: str, *, folders: Mapping[str, Path] = NO_FOLDERS
) -> DatabaseUrls:
    """Return the URLs of the serving roles whose passwords are stored here, without a connection to the server.

    Only the address in `server_url` is used: a process that serves need not know an administrator. The owner's URL is
    always empty, since a process that serves must not be the owner.
    """
    server = _place(server_url)
    kept = _read_passwords(data_dir, server) | _read_apart(folders, server)
    return _database_urls(server_url, {role: kept[role] for role in SERVING_ROLES if role in kept}, database)


def forget_passwords(data_dir: Path, host: str, port: int = DEFAULT_PORT) -> None:
    """Forget the passwords of a server that no longer exists. Passwords of other servers stay."""
    with _lock_folder(data_dir):
        everything = _read_file(data_dir)
        if everything.pop(f"{host}:{port}", None) is not None:
            _write_file(data_dir, everything)


def drop_database(admin_url: str, database: str) -> None:
    """Delete the database with all its data, and end the sessions that still use it."""
    with _connect(admin_url) as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))


def _connect(url: str) -> psycopg.Connection[TupleRow]:
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_SECONDS)
    except psycopg.OperationalError as error:
        raise SetupProblem(f"Cannot reach PostgreSQL: {error}") from error


def _check_server(admin: psycopg.Connection[TupleRow]) -> None:
    if admin.info.server_version < OLDEST_POSTGRES:
        raise SetupProblem(f"PostgreSQL 15 or newer is needed; this one is {admin.info.server_version // 10_000}.")
    encoding = admin.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise SetupProblem(f"The server's databases must be encoded in UTF8; this one uses {encoding}.")


def _prepare_role(admin: psycopg.Connection[TupleRow], role: str, password: str) -> None:
    """Create the role, or take from an existing role every power that it should not have."""
    name = sql.Identifier(role)
    found = admin.execute(
        "SELECT rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole OR rolreplication OR NOT rolcanlogin "
        "FROM pg_roles WHERE rolname = %s",
        [role],
    ).fetchone()
    if found is None:
        admin.execute(sql.SQL("CREATE ROLE {} {}").format(name, NO_POWERS))
        _set_password(admin, role, password)
    elif found[0]:
        admin.execute(sql.SQL("ALTER ROLE {} {}").format(name, NO_POWERS))


def _prepare_settings(admin: psycopg.Connection[TupleRow], role: str) -> None:
    """Give a serving role its time limits, if it has others or none."""
    found = admin.execute("SELECT rolconfig FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    known = set(found[0] or ()) if found else set()
    for setting, value in SERVING_SETTINGS.items():
        if f"{setting}={value}" not in known:
            admin.execute(
                sql.SQL("ALTER ROLE {} SET {} = {}").format(
                    sql.Identifier(role), sql.Identifier(setting), sql.Literal(value)
                )
            )


def _set_password(admin: psycopg.Connection[TupleRow], role: str, password: str) -> None:
    """Send only the SCRAM verifier, so that a server with a statement log does not log the password."""
    verifier = admin.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    admin.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier)))


def _prepare_password(admin: psycopg.Connection[TupleRow], role: str, password: str, url: str, *, adopt: bool) -> None:
    """Make sure that the role can log in with the stored password."""
    if _can_log_in(url):
        return
    if not adopt:
        raise SetupProblem(
            f"The role {role} exists, but the password kept in {PASSWORD_FILE} does not open the database. "
            "Bring that file back, or have new passwords made with `treue database prepare --adopt-roles`; "
            "every other program that uses these roles is locked out then."
        )
    _set_password(admin, role, password)
    _connect(url).close()


def _can_log_in(url: str) -> bool:
    try:
        _connect(url).close()
    except SetupProblem:
        return False
    return True


def _create_database(admin: psycopg.Connection[TupleRow], database: str, template: str | None) -> None:
    """Create the database for treue_owner, or give it an existing one, and let only the three roles connect."""
    name, owner = sql.Identifier(database), sql.Identifier(OWNER_ROLE)
    if not admin.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user AND rolsuper").fetchone():
        # Only a member of the new owner may hand a database over to it.
        admin.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(owner))
    found = admin.execute("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s", [database]).fetchone()
    if found is None:
        copied = sql.SQL(" TEMPLATE {}").format(sql.Identifier(template)) if template else sql.SQL("")
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}{}").format(name, owner, copied))
    elif found[0] != OWNER_ROLE:
        admin.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(name, owner))
    with admin.transaction():
        admin.execute(sql.SQL("SET LOCAL ROLE {}").format(owner))
        admin.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
        admin.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, _names(SERVING_ROLES)))


def _guard_database(owner_url: str, database: str) -> None:
    """Let the serving roles use the public schema, and make sure that they cannot create anything."""
    with _connect(owner_url) as owner:
        owner.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        owner.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(_names(SERVING_ROLES)))
        too_much = owner.execute(
            "SELECT role FROM unnest(%(roles)s::text[]) AS role "
            "WHERE has_schema_privilege(role, 'public', 'CREATE') "
            "OR has_database_privilege(role, %(database)s, 'CREATE, TEMPORARY') "
            "OR pg_has_role(role, current_user, 'MEMBER')",
            {"roles": list(SERVING_ROLES), "database": database},
        ).fetchall()
    if too_much:
        raise SetupProblem(
            f"{', '.join(role for (role,) in too_much)} may create objects in {database}: take the right away "
            "where it comes from (schema public, the database itself, or membership in treue_owner)."
        )


def _place(server_url: str) -> str:
    """Return the name under which passwords are stored: the server without its database.

    Roles belong to a whole server.
    """
    parts = conninfo_to_dict(server_url)
    return f"{parts.get('host', '')}:{parts.get('port', DEFAULT_PORT)}"


def _names(roles: tuple[str, ...]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(role) for role in roles)


def _database_urls(server_url: str, passwords: Mapping[str, str], database: str) -> DatabaseUrls:
    parts = {name: str(value) for name, value in conninfo_to_dict(server_url).items()}
    return DatabaseUrls(*(_url(parts, role, passwords[role], database) if role in passwords else "" for role in ROLES))


def _url(parts: Mapping[str, str], role: str, password: str, database: str) -> str:
    """Return one role's URL: the server and options of `parts`, with that role and database.

    A socket becomes an option.
    """
    options = {name: value for name, value in parts.items() if name not in {"user", "password", "dbname"}}
    host = options.get("host", "")
    place = ""
    if host and not host.startswith("/") and "," not in host:
        del options["host"]
        place = f"[{host}]" if ":" in host else host
        place += f":{options.pop('port', DEFAULT_PORT)}"
    query = f"?{urlencode(options, quote_via=quote, safe='')}" if options else ""
    return f"postgresql://{role}:{quote(password, safe='')}@{place}/{quote(database, safe='')}{query}"


def _read_passwords(folder: Path, server: str) -> dict[str, str]:
    return _read_file(folder).get(server, {})


def _read_apart(folders: Mapping[str, Path], server: str) -> dict[str, str]:
    """Return the passwords of roles that have a folder of their own."""
    read = {role: _read_passwords(folder, server).get(role) for role, folder in folders.items()}
    return {role: password for role, password in read.items() if password is not None}


def _read_file(data_dir: Path) -> dict[str, dict[str, str]]:
    path = data_dir / PASSWORD_FILE
    try:
        return TypeAdapter(dict[str, dict[str, str]]).validate_json(path.read_bytes())
    except FileNotFoundError:
        return {}
    except ValidationError:
        raise SetupProblem(f"{path} is damaged: restore it, or delete it to have new passwords made.") from None


def _keep_passwords(data_dir: Path, folders: Mapping[str, Path], server: str, passwords: Mapping[str, str]) -> None:
    """Store each password in the folder of its role, and in no other of these folders."""
    data_dir.mkdir(parents=True, exist_ok=True)
    shares: dict[Path, dict[str, str]] = {data_dir.resolve(): {}}
    for role, password in passwords.items():
        folder = folders.get(role, data_dir)
        folder.mkdir(parents=True, exist_ok=True)
        shares.setdefault(folder.resolve(), {})[role] = password
    # `data_dir` is written last: a password that moves must stand in one of the folders at any time.
    for folder in [*list(shares)[1:], data_dir]:
        _keep_in(folder, server, shares[folder.resolve()])


def _keep_in(folder: Path, server: str, passwords: Mapping[str, str]) -> None:
    everything = _read_file(folder)
    if not passwords and server not in everything:
        return
    others = {place: kept for place, kept in everything.items() if place != server}
    _write_file(folder, {**others, server: passwords} if passwords else others)


def _write_file(data_dir: Path, everything: Mapping[str, Mapping[str, str]]) -> None:
    unfinished = data_dir / f"{PASSWORD_FILE}.unfinished"
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(everything, file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(data_dir / PASSWORD_FILE)


@contextlib.contextmanager
def _lock_folder(data_dir: Path) -> Iterator[None]:
    """Hold a lock during the block, so that no other process with this folder prepares a database."""
    data_dir.mkdir(parents=True, exist_ok=True)
    lock = os.open(data_dir / "roles.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
