"""The option of processes that serve metrics: several on one machine need a port each."""

from typing import TYPE_CHECKING

import click

from cli.addresses import PORT

if TYPE_CHECKING:
    from runtime.settings import Settings

metrics_port_option = click.option(
    "--metrics-port", type=PORT, help="Port of the metrics; default TREUE_METRICS_PORT, 0 for any free one."
)


def with_metrics_port(settings: "Settings", port: int | None) -> "Settings":
    """The settings with the port of the option, where it was given."""
    return settings if port is None else settings.model_copy(update={"metrics_port": port})
