"""API tokens: `treue_<kind>_<43 base62 characters><6 characters CRC32>`.

The checksum refuses typing mistakes and guesses without a query. Only the SHA-256 of a token is stored: 256 random bits
need no slow hash. The fixed prefix lets secret scanners find a leaked token.
"""

import hashlib
import re
import secrets
import string
import zlib
from typing import NamedTuple

PREFIX = "treue_"
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
SECRET_LENGTH = 43
"""62⁴³ is just above 2²⁵⁶."""

CHECKSUM_LENGTH = 6
MAX_KIND_LENGTH = 16
SHOWN_LENGTH = 4
"""The number of the secret's characters that a list of tokens may show, so that people recognise their token."""

_KIND = re.compile(rf"[a-z][a-z0-9]{{0,{MAX_KIND_LENGTH - 1}}}", re.ASCII)
_TOKEN = re.compile(
    rf"{PREFIX}(?P<kind>{_KIND.pattern})_(?P<secret>[0-9A-Za-z]{{{SECRET_LENGTH}}})"
    rf"(?P<checksum>[0-9A-Za-z]{{{CHECKSUM_LENGTH}}})",
    re.ASCII,
)
MAX_TOKEN_LENGTH = len(PREFIX) + MAX_KIND_LENGTH + 1 + SECRET_LENGTH + CHECKSUM_LENGTH


class NewToken(NamedTuple):
    """A new token. `text` is shown once and never stored; the database keeps `sha256`."""

    text: str
    sha256: str
    shown: str


def make_token(kind: str) -> NewToken:
    """Return a new random token. `kind` is a short lower-case word, such as `api`.

    It only tells people the token's purpose.
    """
    if not _KIND.fullmatch(kind):
        raise ValueError(f"A kind of token is 1 to {MAX_KIND_LENGTH} lower-case letters and digits")
    secret = "".join(secrets.choice(ALPHABET) for _ in range(SECRET_LENGTH))
    body = f"{PREFIX}{kind}_{secret}"
    text = body + _checksum(body)
    return NewToken(text, hash_token(text), f"{PREFIX}{kind}_{secret[:SHOWN_LENGTH]}…")


def is_token(text: str) -> bool:
    """Return whether the text has the form of a token and its checksum is right.

    It does not say whether the token was ever issued.
    """
    if len(text) > MAX_TOKEN_LENGTH or not _TOKEN.fullmatch(text):
        return False
    return _checksum(text[:-CHECKSUM_LENGTH]) == text[-CHECKSUM_LENGTH:]


def hash_token(text: str) -> str:
    """Return the SHA-256 of a token as 64 hexadecimal digits, by which it is stored and looked up."""
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode("ascii"))
    digits = ""
    for _ in range(CHECKSUM_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        digits = ALPHABET[digit] + digits
    return digits
