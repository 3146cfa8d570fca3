"""An own PostgreSQL server for demos and tests, if DATABASE_URL names none.

It listens on a Unix socket only, asks for a password, and keeps its data in a folder that the user can see and delete.
Several processes may use one server: each holds a shared lock, the first starts it and the last stops it. If root
starts it, it runs as the owner of its data, at first `nobody`: PostgreSQL refuses to run as root.
"""

import contextlib
import fcntl
import hashlib
import os
import pwd
import re
import secrets
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import quote

from runtime.postgres_binaries import find_binaries, may_enter, reachable_binaries
from runtime.postgres_marks import PID_FILE, find_server, remove_stale_marks
from runtime.problems import SetupProblem

ADMIN_ROLE = "postgres"
PORT = 5432
ACCOUNT_OF_ROOT = "nobody"
SYSTEM_FOLDER = Path("/var/lib/treue")
SHORT_FOLDER = Path("/tmp")  # noqa: S108 - only for a socket folder, which is checked to be ours
MAX_SOCKET_BYTES = 103  # macOS allows 104 with the closing zero, Linux 108
MAX_LOG_BYTES = 10_000_000
LOG_TAIL_LINES = 15
START_TIMEOUT_SECONDS = 60
STOP_TIMEOUT_SECONDS = 60
POLL_SECONDS = 0.01

# Commits are durable, and no text of a statement goes into the log.
OPTIONS: Mapping[str, str] = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "max_connections": "100",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "log_timezone": "UTC",
    "timezone": "UTC",
}

# The server gets nothing of this process's environment, which may hold secrets.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

# Servers we started that others still use when we leave; kept, or Python warns of a child left behind.
_outliving_us: list[subprocess.Popen[bytes]] = []


class Account(NamedTuple):
    """The account that runs the server."""

    uid: int
    gid: int


class EmbeddedPostgres:
    """The server with its data in `data_dir/postgres`. Use it as a context, or call `start` and `stop`.

    `options` are server parameters that replace those of OPTIONS. They count only for the process that starts the
    server.
    """

    def __init__(self, data_dir: Path, options: Mapping[str, str] | None = None) -> None:
        self._visible = data_dir.absolute() / "postgres"
        self._options = {**OPTIONS, **(options or {})}
        self._lock: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def home(self) -> Path:
        """The real folder of this server: `data_dir/postgres`, or the target of that link."""
        return self._visible.resolve()

    @property
    def data(self) -> Path:
        """The server's own data folder (PGDATA)."""
        return self.home / "data"

    @property
    def log_file(self) -> Path:
        """The server's log file."""
        return self.home / "server.log"

    @property
    def socket_folder(self) -> Path:
        """The folder of the socket: beside the data, or a short path if that one is too long for an address."""
        folder = self.home / "socket"
        fits = len(os.fsencode(folder / _socket_name())) <= MAX_SOCKET_BYTES
        return folder if fits else SHORT_FOLDER / f"treue-{_digest(self.home)}"

    @property
    def admin_url(self) -> str:
        """The URL of the superuser. The server must be running."""
        running = find_server(self.data)
        if running is None:
            raise SetupProblem(f"The PostgreSQL server in {self._visible} is not running.")
        password = (self.home / "password").read_text("ascii").strip()
        host = quote(running.socket_folder, safe="")
        return f"postgresql://{ADMIN_ROLE}:{password}@/postgres?host={host}&port={PORT}"

    @property
    def is_running(self) -> bool:
        """Whether the server runs. Another process may have started it."""
        return self._visible.exists() and find_server(self.data) is not None

    def start(self) -> str:
        """Create the data if there are none, start the server if it does not run, and return the superuser's URL."""
        account = self._account()
        self._make_home(account)
        with self._lock_server():
            if self._lock is None:
                self._lock = _open_lock(self.home / "use.lock", fcntl.LOCK_SH)
            try:
                if find_server(self.data) is None:
                    self._launch(account)
                self._wait_until_ready()
            except BaseException:
                self._release()
                raise
        return self.admin_url

    def stop(self) -> None:
        """Leave the server. The last process that leaves shuts it down; every commit is on disk.

        Does nothing if the server was not started by this object, or was left before.
        """
        if self._lock is None:
            return
        with self._lock_server():
            if self._release():
                self._shut_down()
            elif self._process is not None:
                _outliving_us.append(self._process)
        _outliving_us[:] = [process for process in _outliving_us if process.poll() is None]
        self._process = None

    def remove(self) -> None:
        """Stop the server and delete its data. Refuses while another process uses it."""
        if not self._visible.exists():
            self._visible.unlink(missing_ok=True)
            return
        self._account()
        with self._lock_server():
            if self._lock is None:
                self._lock = _open_lock(self.home / "use.lock", fcntl.LOCK_SH)
            if not self._release():
                raise SetupProblem(f"Another process uses the PostgreSQL server in {self._visible}: stop it first.")
            self._shut_down()
            for folder in (self.socket_folder, self.home):
                shutil.rmtree(folder, ignore_errors=True)
        self._visible.unlink(missing_ok=True)

    def _account(self) -> Account:
        """Return the account that runs the server: this process's own.

        For root the owner of the data, at first `nobody`.
        """
        us = Account(os.geteuid(), os.getegid())
        status = self._visible.stat() if self._visible.exists() else None
        if us.uid != 0:
            if status is not None and status.st_uid != us.uid:
                raise SetupProblem(
                    f"{self._visible} belongs to another user (uid {status.st_uid}): start Treue as the one who "
                    "started it first, or choose another folder with TREUE_DATA_DIR."
                )
            return us
        if status is not None and status.st_uid != 0:
            return Account(status.st_uid, status.st_gid)
        try:
            entry = pwd.getpwnam(ACCOUNT_OF_ROOT)
        except KeyError:
            raise SetupProblem(
                "PostgreSQL does not run as root, and this machine has no account `nobody`: "
                "start Treue as another user."
            ) from None
        return Account(entry.pw_uid, entry.pw_gid)

    def _make_home(self, account: Account) -> None:
        """Make the folder. If the account cannot enter it, as under /root, make a link to SYSTEM_FOLDER instead."""
        parent = self._visible.parent
        if not parent.exists():
            parent.mkdir(parents=True)
            parent.chmod(0o755)
        if self._visible.is_symlink() or not may_enter(parent.resolve(), account.uid):
            target = SYSTEM_FOLDER / f"postgres-{_digest(self._visible)}"
            if not SYSTEM_FOLDER.exists():
                SYSTEM_FOLDER.mkdir(parents=True)
                SYSTEM_FOLDER.chmod(0o755)
            if not self._visible.is_symlink():
                if self._visible.exists():
                    raise SetupProblem(f"The user who runs PostgreSQL (uid {account.uid}) cannot enter {parent}.")
                self._visible.symlink_to(target)
        home = self.home
        if not home.exists():
            home.mkdir(mode=0o700)
            os.chown(home, account.uid, account.gid)

    @contextlib.contextmanager
    def _lock_server(self) -> Iterator[None]:
        """Hold a lock during the block, so that no other process starts or stops this server."""
        lock = _open_lock(self.home / "start.lock", fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(lock)

    def _release(self) -> bool:
        """Give back this process's share of the server; returns True if no other process has one."""
        lock, self._lock = self._lock, None
        if lock is None:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(lock)
        return True

    def _launch(self, account: Account) -> None:
        binaries = reachable_binaries(find_binaries(), self.home, account.uid)
        if self.data.exists():
            self._check_version(binaries, account)
        else:
            self._initialise(binaries, account)
        socket_folder = self._make_socket_folder(account)
        remove_stale_marks(self.data / PID_FILE, socket_folder / f"{_socket_name()}.lock")
        options = {**self._options, "listen_addresses": "", "port": str(PORT)}
        options["unix_socket_directories"] = f'"{socket_folder}"'
        options["unix_socket_permissions"] = "0700"
        arguments = [text for name, value in options.items() for text in ("-c", f"{name}={value}")]
        mode = "ab" if _size(self.log_file) < MAX_LOG_BYTES else "wb"
        as_root = os.geteuid() == 0
        with self.log_file.open(mode) as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
                [str(binaries / "postgres"), "-D", str(self.data), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=ENVIRONMENT,
                umask=0o077,
                user=account.uid if as_root else None,
                group=account.gid if as_root else None,
                extra_groups=[] if as_root else None,
                # A session of its own: Ctrl-C in the terminal is for us only, or it would end the server under us.
                start_new_session=True,
            )

    def _initialise(self, binaries: Path, account: Account) -> None:
        """Make the data in another folder and move it to its place whole: a failed attempt leaves nothing behind."""
        password_file = self.home / "password"
        unfinished = self.home / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        _write_private(password_file, secrets.token_urlsafe(32), account)
        command = [
            *(str(binaries / "initdb"), "-D", str(unfinished), "-U", ADMIN_ROLE, f"--pwfile={password_file}"),
            *("--auth=scram-sha-256", "--encoding=UTF8", "--no-locale"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *(("--no-sync",) if self._options["fsync"] == "off" else ()),
        ]
        done = _run(command, account)
        if done.returncode != 0:
            raise SetupProblem(f"PostgreSQL could not create its data in {self._visible}:\n{done.stderr.strip()}")
        unfinished.rename(self.data)

    def _check_version(self, binaries: Path, account: Account) -> None:
        version_file = self.data / "PG_VERSION"
        if not version_file.exists():
            raise SetupProblem(f"{self.data} holds no PostgreSQL data: move it away, then start again.")
        found = version_file.read_text("ascii").strip()
        match = re.search(r"\) (\d+)", _run([str(binaries / "postgres"), "--version"], account).stdout)
        installed = match[1] if match else "unknown"
        if found != installed:
            raise SetupProblem(
                f"The data in {self._visible} was made by PostgreSQL {found}, but the installed server is PostgreSQL "
                f"{installed}. Install the old one, move the folder away, or delete it with `treue database reset`."
            )

    def _make_socket_folder(self, account: Account) -> Path:
        folder = self.socket_folder
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            os.chown(folder, account.uid, account.gid)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != account.uid:
            raise SetupProblem(f"{folder} is not ours (uid {status.st_uid}): remove it, then start again.")
        return folder

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while True:
            running = find_server(self.data)
            if running is not None and running.ready:
                return
            if self._process is not None and self._process.poll() is not None:
                raise SetupProblem(f"PostgreSQL did not start. The end of {self.log_file}:\n{self._log_tail()}")
            if time.monotonic() > deadline:
                raise SetupProblem(f"PostgreSQL was not ready in {START_TIMEOUT_SECONDS} s: see {self.log_file}")
            time.sleep(POLL_SECONDS)

    def _shut_down(self) -> None:
        """Shut the server down fast: PostgreSQL rolls back open transactions and writes a checkpoint."""
        running = find_server(self.data)
        if running is not None:
            os.kill(running.pid, signal.SIGINT)
        deadline = time.monotonic() + STOP_TIMEOUT_SECONDS
        while find_server(self.data) is not None:
            if time.monotonic() > deadline:
                raise SetupProblem(f"PostgreSQL did not stop in {STOP_TIMEOUT_SECONDS} s: see {self.log_file}")
            time.sleep(POLL_SECONDS)
        if self._process is not None:
            self._process.wait(STOP_TIMEOUT_SECONDS)

    def _log_tail(self) -> str:
        lines = self.log_file.read_text("utf-8", errors="replace").splitlines()
        return "\n".join(lines[-LOG_TAIL_LINES:])


def _run(command: list[str], account: Account) -> subprocess.CompletedProcess[str]:
    as_root = os.geteuid() == 0
    return subprocess.run(  # noqa: S603 - our own program, no shell
        command,
        check=False,
        capture_output=True,
        text=True,
        cwd="/",
        env=ENVIRONMENT,
        user=account.uid if as_root else None,
        group=account.gid if as_root else None,
        extra_groups=[] if as_root else None,
    )


def _open_lock(path: Path, kind: int) -> int:
    """Open the file, wait for its lock, and return its descriptor.

    The lock ends when the file is closed, or with this process.
    """
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, kind)
    except BaseException:
        os.close(lock)
        raise
    return lock


def _write_private(path: Path, text: str, account: Account) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(f"{text}\n")
    os.chown(path, account.uid, account.gid)


def _socket_name() -> str:
    return f".s.PGSQL.{PORT}"


def _digest(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
