"""The marks of a PostgreSQL server: files with its process number. Check whether that process is still the server."""

import contextlib
import os
import subprocess
from pathlib import Path
from typing import NamedTuple

PID_FILE = "postmaster.pid"
"""The name of the mark in the data folder."""


class PidFile(NamedTuple):
    """The parts of `postmaster.pid`, which a running server writes."""

    pid: int
    socket_folder: str
    ready: bool


def find_server(data: Path) -> PidFile | None:
    """Return the server that works on this data; None if there is none, or only the marks of a dead server."""
    try:
        lines = (data / PID_FILE).read_text("utf-8").splitlines()
        pid = int(lines[0])
    except (OSError, ValueError, IndexError):
        return None
    if not _is_server(pid, data):
        return None
    socket_folder = lines[4] if len(lines) > 4 else ""  # noqa: PLR2004 - its fifth line
    return PidFile(pid, socket_folder, ready=lines[-1].strip() == "ready")


def remove_stale_marks(*marks: Path) -> None:
    """Remove the marks of a killed server if another program now has its process number.

    PostgreSQL itself notices a free number, but would take the other program for its server. PostgreSQL checks by its
    shared memory whether a child of the dead server still works on the data.
    """
    for mark in marks:
        with contextlib.suppress(OSError, ValueError, IndexError):
            if _is_taken(int(mark.read_text("utf-8").splitlines()[0])):
                mark.unlink()


def _is_server(pid: int, data: Path) -> bool:
    """Return whether that process is a PostgreSQL server on this data.

    A zombie process has no command line and is none.
    """
    proc = Path("/proc")
    if (proc / "self" / "cmdline").exists():
        try:
            words = (proc / str(pid) / "cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return os.fsencode(data) in words
    shown = subprocess.run(["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, check=False)  # noqa: S603
    return b"-D " + os.fsencode(data) in shown.stdout


def _is_taken(pid: int) -> bool:
    """Tell whether a process has this number. Signal 0 only asks. A refusal says: another user's process has it."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
