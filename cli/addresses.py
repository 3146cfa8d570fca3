"""The address where a server listens: check that it is free, and write it for people."""

import socket

import click

from runtime.problems import SetupProblem

PORT = click.IntRange(0, 65_535)


def refuse_taken_port(host: str, port: int, instead: str) -> None:
    """Refuse a port that is taken, before anything is started. Raises SetupProblem.

    ``instead`` is a command with another port. The message shows it.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            message = f"Port {port} of {host} is taken ({error.strerror}): choose another, {instead}."
            raise SetupProblem(message) from error


def free_port(host: str) -> int:
    """Return a port that is free now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def address_of(host: str, port: int) -> str:
    """Return the address for a browser. For a server on all interfaces it is the loopback address."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{name}:{port}"
