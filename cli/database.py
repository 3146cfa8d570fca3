"""`treue database`: the server under the service."""

import signal
import threading

import click

from runtime.databases import password_folders
from runtime.postgres import EmbeddedPostgres
from runtime.problems import SetupProblem
from runtime.roles import ROLES, forget_passwords, prepare_database
from runtime.settings import Settings, load_settings


@click.group()
def database() -> None:
    """Prepare, run, inspect or delete the database server."""


@database.command()
@click.option("--adopt-roles", is_flag=True, help="Give roles whose password is not known here a new one.")
def prepare(*, adopt_roles: bool) -> None:
    """Make the roles and the database on the server of DATABASE_URL. Running it again does no harm."""
    settings = load_settings()
    if settings.database_url is None:
        raise SetupProblem("DATABASE_URL is not set. The embedded server needs no preparation.")
    folders = password_folders(settings)
    prepare_database(
        settings.database_url,
        settings.data_dir,
        settings.database_name,
        folders=folders,
        adopt_roles=adopt_roles,
    )
    places = " and ".join(dict.fromkeys(str(folders.get(role, settings.data_dir)) for role in ROLES))
    click.echo(f"Database {settings.database_name} is ready; the roles' passwords are in {places}.")


@database.command()
def run() -> None:
    """Run the embedded server until Ctrl-C, so that several processes can use it at once."""
    settings = load_settings()
    with _use_embedded_server(settings) as postgres:
        # A signal may come as soon as the line is read.
        stop = _note_signals()
        # The administrator's password stays in its file: printed text stays in terminals and logs.
        click.echo(f"PostgreSQL is running; its socket is in {postgres.socket_folder}, its log is {postgres.log_file}")
        stop.wait()


@database.command()
def status() -> None:
    """Say whether the embedded server is running. The exit code is 3 if it is not."""
    settings = load_settings()
    running = _use_embedded_server(settings).is_running
    click.echo(f"The embedded PostgreSQL in {settings.data_dir} is {'running' if running else 'not running'}.")
    if not running:
        raise SystemExit(3)


@database.command()
@click.confirmation_option(prompt="This deletes every tenant, customer and point in the embedded server. Go on?")
def reset() -> None:
    """Delete the embedded server's data and passwords. A server named by DATABASE_URL is not touched."""
    settings = load_settings()
    postgres = _use_embedded_server(settings)
    socket_folder = postgres.socket_folder
    postgres.remove()
    forget_passwords(settings.data_dir, str(socket_folder))
    click.echo(f"The embedded PostgreSQL in {settings.data_dir} is deleted.")


def _use_embedded_server(settings: Settings) -> EmbeddedPostgres:
    """Return the embedded server. Raises SetupProblem if the settings name another server."""
    if settings.database_url is not None:
        raise SetupProblem("DATABASE_URL names another server: the embedded one is not used.")
    return EmbeddedPostgres(settings.data_dir)


def _note_signals() -> threading.Event:
    """Handle SIGINT and SIGTERM from now on. The returned event is set when a signal has come."""
    done = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: done.set())
    return done
