"""Files stay short enough to be read at once."""

from pathlib import Path

import loyalty

MAX_LINES = 400
FOLDERS = ("api", "cli", "execution", "loyalty", "permissions", "runtime", "schema", "tenancy", "worker")
ROOT = Path(loyalty.__file__).parent.parent


def test_no_file_has_more_than_400_lines() -> None:
    """Split a longer one by its nouns."""
    longer = {
        path.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if len(path.read_text("utf-8").splitlines()) > MAX_LINES
    }
    assert not longer
