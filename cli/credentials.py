"""The keys of this installation, for the issuer and for gift cards.

They are read from the files that the settings name. Without such a file they are made here.
"""

import contextlib
import os
import re
import secrets
import tempfile
from pathlib import Path

from api.issuer import Issuer
from loyalty.storage.gift_card_codes import KEY_LENGTH, CodeKeys
from runtime.problems import SetupProblem
from runtime.settings import Settings

KEY_FILE = "issuer-key.pem"
CODE_KEYS_FILE = "gift-card-keys.txt"

_KEY_LINE = re.compile(rf"[0-9a-fA-F]{{{2 * KEY_LENGTH}}}")


def issuer_key_file(settings: Settings) -> Path:
    """Return the path of the file with the keys of the issuer, whether the file exists or not."""
    return settings.issuer_key_file or settings.data_dir / KEY_FILE


def local_issuer(settings: Settings) -> Issuer:
    """Read the issuer's keys.

    If the settings name no file, a file with one key is made once, which only its owner can read. Raises SetupProblem.
    """
    path = issuer_key_file(settings)
    try:
        if settings.issuer_key_file is None and not path.exists():
            return _make_issuer_key(path)
        return Issuer.from_key_file(path)
    except (OSError, ValueError) as error:
        raise SetupProblem(f"The issuer's key in {path} cannot be used: {error}") from error


def _make_issuer_key(path: Path) -> Issuer:
    """Make a file with a new key, and return its issuer. If another process has just made the file, read it."""
    try:
        return Issuer.generate(path)
    except FileExistsError:
        # Another process made it in the same moment.
        return Issuer.from_key_file(path)


def local_code_keys(settings: Settings) -> CodeKeys:
    """Read the keys of gift cards.

    If the settings name no file, a file with one key is made once, which only its owner can read. Raises SetupProblem.
    """
    path = settings.gift_card_keys_file or settings.data_dir / CODE_KEYS_FILE
    try:
        if settings.gift_card_keys_file is None and not path.exists():
            _make_code_keys(path)
        return CodeKeys.of([_parse_key(line) for line in _lines(path.read_text("ascii"))])
    except (OSError, ValueError) as error:
        raise SetupProblem(f"The keys of gift cards in {path} cannot be used: {_reason(error)}") from None


def _make_code_keys(path: Path) -> None:
    """Write a file with one new key. It appears whole, so another process never reads half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, made = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"# Keys of the codes of gift cards, the newest first.\n{secrets.token_hex(KEY_LENGTH)}\n")
        with contextlib.suppress(FileExistsError):  # another process made it in the same moment
            os.link(made, path)
    finally:
        Path(made).unlink()


def _lines(text: str) -> list[str]:
    """Return the lines of a file of keys, without comments and empty lines."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _parse_key(line: str) -> bytes:
    """Return the key in a line. Raises ValueError, without the content of the line."""
    if not _KEY_LINE.fullmatch(line):
        raise ValueError(f"every key is a line of {2 * KEY_LENGTH} hexadecimal digits")
    return bytes.fromhex(line)


def _reason(error: OSError | ValueError) -> str:
    """Return the reason of a failed read without any content of the file: a decoding error would show it."""
    return "it holds more than ASCII characters" if isinstance(error, UnicodeError) else str(error)
