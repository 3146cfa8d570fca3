"""The marks of a PostgreSQL server: files with its process number, and whether that process is still the server."""

import contextlib
import os
import subprocess
from pathlib import Path
from typing import NamedTuple

PID_FILE = "postmaster.pid"
"""The mark in the data folder."""


class PidFile(NamedTuple):
    """What a running server writes into `postmaster.pid`."""

    pid: int
    socket_folder: str
    ready: bool


def find_server(data: Path) -> PidFile | None:
    """The server that works on this data; None when there is none, or only the marks of a dead one."""
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
    """Removes the marks of a server that was killed, when another program has its process number by now.

    PostgreSQL sees by itself that a number is free, but would take the stranger for itself. That no child of the
    dead server still works on the data is checked apart from that, by its shared memory.
    """
    for mark in marks:
        with contextlib.suppress(OSError, ValueError, IndexError):
            if _is_taken(int(mark.read_text("utf-8").splitlines()[0])):
                mark.unlink()


def _is_server(pid: int, data: Path) -> bool:
    """Whether that process is a PostgreSQL server on this data. A zombie has no command line any more."""
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
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
