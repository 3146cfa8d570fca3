"""The issuer's key of this installation: the file that the settings name, or one made under the data folder."""

from pathlib import Path

from api.issuer import Issuer
from runtime.problems import SetupProblem
from runtime.settings import Settings

KEY_FILE = "issuer-key.pem"


def local_issuer(settings: Settings) -> Issuer:
    """Read the issuer's key; where none is named, one is made once, readable for its owner only."""
    path = settings.issuer_key_file or settings.data_dir / KEY_FILE
    try:
        if settings.issuer_key_file is None and not path.exists():
            return _generated(path)
        return Issuer.from_key_file(path)
    except (OSError, ValueError) as error:
        raise SetupProblem(f"The issuer's key in {path} cannot be used: {error}") from error


def _generated(path: Path) -> Issuer:
    try:
        return Issuer.generate(path)
    except FileExistsError:
        # Another process made it in the same moment.
        return Issuer.from_key_file(path)
