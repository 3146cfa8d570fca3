"""`treue issuer-keys`: change the key that signs tokens, step by step and without a break."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
from joserfc.jwk import ECKey

from api.issuer import CURVE, MAX_KEYS, MAX_LIFETIME, Issuer, read_keys
from cli.credentials import issuer_key_file, local_issuer
from runtime.problems import SetupProblem
from runtime.settings import load_settings

TAKES_KEY_ID = {"ignore_unknown_options": True, "help_option_names": ["--help"]}
"""For a command that takes the id of a key. One of 64 ids begins with a hyphen, which click would read as an option."""
RESTART = "Start all servers again before the next step."


@click.group("issuer-keys")
def issuer_keys() -> None:
    """List and change the keys of staff and customer tokens. A change takes four steps, see docs/operating.md."""


@issuer_keys.command(name="list")
def list_() -> None:
    """List the keys by their id, which tokens carry as `kid`. The first one signs, the others verify."""
    for place, key in enumerate(read_keys(_find_key_file())):
        click.echo(f"{key.thumbprint()}  {'verifies' if place else 'signs'}")


@issuer_keys.command()
def add() -> None:
    """Add a new key, which only verifies as yet, and print its id."""
    path = _find_key_file()
    keys = read_keys(path)
    if len(keys) >= MAX_KEYS:
        raise SetupProblem(f"There are {MAX_KEYS} keys: remove one that signs nothing any more.")
    made = ECKey.generate_key(CURVE)
    _write_keys(path, [*keys, made])
    click.echo(made.thumbprint())
    click.echo(RESTART, err=True)


@issuer_keys.command(context_settings=TAKES_KEY_ID)
@click.argument("key_id")
def use(key_id: str) -> None:
    """Let a key sign from now on. The others verify. All servers must know the key already."""
    path = _find_key_file()
    keys = read_keys(path)
    chosen = _find_key(keys, key_id)
    _write_keys(path, [chosen, *(key for key in keys if key is not chosen)])
    click.echo(RESTART, err=True)


@issuer_keys.command(context_settings=TAKES_KEY_ID)
@click.argument("key_id")
def remove(key_id: str) -> None:
    """Remove a key that does not sign. Tokens and cursors that it made are refused from then on."""
    path = _find_key_file()
    keys = read_keys(path)
    chosen = _find_key(keys, key_id)
    if chosen is keys[0]:
        raise SetupProblem("This key signs: let another one sign first (`treue issuer-keys use`).")
    _write_keys(path, [key for key in keys if key is not chosen])
    click.echo(f"Its tokens lived {MAX_LIFETIME.days} days at most. {RESTART}", err=True)


def _find_key_file() -> Path:
    """Return the file of the keys. If the settings name none, a file with a first key is made."""
    settings = load_settings()
    local_issuer(settings)
    return issuer_key_file(settings).resolve()


def _find_key(keys: Sequence[ECKey], key_id: str) -> ECKey:
    """Return the key with this id. Raises SetupProblem if there is none."""
    found = next((key for key in keys if key.thumbprint() == key_id), None)
    if found is None:
        raise SetupProblem("There is no such key: see `treue issuer-keys list`.")
    return found


def _write_keys(path: Path, keys: Sequence[ECKey]) -> None:
    """Replace the file of keys whole and at once.

    A server that starts meanwhile reads either the old keys or the new ones. Raises SetupProblem, and
    ValueError for keys that an issuer cannot use.
    """
    Issuer(keys[0], older=keys[1:])  # it refuses keys with which no server could start
    try:
        descriptor, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(key.as_pem(private=True) for key in keys)
                file.flush()
                os.fsync(file.fileno())
            before = path.stat()
            Path(made).chmod(stat.S_IMODE(before.st_mode))
            with contextlib.suppress(PermissionError):  # only root gives files to others
                os.chown(made, before.st_uid, before.st_gid)
            Path(made).replace(path)
        except BaseException:
            Path(made).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise SetupProblem(f"The keys in {path} cannot be changed: {error.strerror or error}.") from error
