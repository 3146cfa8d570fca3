"""The entry point of `treue`. A command lives in `cli/<noun>.py` and is registered here by one line.

A command's module is imported only when the command is called, so that `treue --help` answers at once.
"""

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import click

from runtime.problems import SetupProblem, WrongSettings


class LazyCommand(NamedTuple):
    """The place of a command, as `module:attribute`, and its line in the help."""

    target: str
    summary: str


COMMANDS: Mapping[str, LazyCommand] = {
    "demo": LazyCommand("cli.demo:demo", "Run everything with two demo businesses, ready to try."),
    "serve": LazyCommand("cli.serve:serve", "Serve the API."),
    "worker": LazyCommand("cli.worker:worker", "Relay events, let points mature, work off jobs."),
    "migrate": LazyCommand("cli.migrate:migrate", "Bring the database to the newest revision."),
    "tenant": LazyCommand("cli.tenant:tenant", "Create, list, suspend, resume and export tenants."),
    "platform": LazyCommand("cli.platform:platform", "Serve the platform's API, and make its credentials."),
    "token": LazyCommand("cli.token:token", "Print a bearer token for a person, or revoke some."),
    "issuer-keys": LazyCommand("cli.issuer_keys:issuer_keys", "List and change the keys that sign tokens."),
    "gift-cards": LazyCommand("cli.gift_cards:gift_cards", "Seal the codes of gift cards again."),
    "documents": LazyCommand("cli.documents:documents", "Register the documents that a tenant trusts."),
    "verify": LazyCommand("cli.verify:verify", "Check every invariant of the ledger."),
    "schema": LazyCommand("cli.schema:schema", "Print the GraphQL schema."),
    "database": LazyCommand("cli.database:database", "Prepare, run, inspect or delete the database server."),
}


class _WrongUse(click.ClickException):
    """Shows a wrong setting. The command ends as it does for a wrong option."""

    exit_code = 2


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names, in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import the command; None if there is no such command."""
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name].target.split(":")
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{COMMANDS[cmd_name].target} is not a command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """List the commands from their summaries, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. If a setting must change, one message tells the person at the terminal."""
        try:
            return super().invoke(ctx)
        except SetupProblem as problem:
            shown = _WrongUse if isinstance(problem, WrongSettings) else click.ClickException
            raise shown(str(problem)) from problem


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="treue", prog_name="treue")
def main() -> None:
    """Treue, a loyalty-points service. Settings are environment variables; see the reference in docs/."""


if __name__ == "__main__":
    main()
