"""The option for the port of metrics: several processes on one machine need different ports."""

from typing import TYPE_CHECKING

import click

from cli.addresses import PORT

if TYPE_CHECKING:
    from runtime.settings import Settings

metrics_port_option = click.option(
    "--metrics-port", type=PORT, help="Port of the metrics; default TREUE_METRICS_PORT, 0 for any free one."
)


def with_metrics_port(settings: "Settings", port: int | None) -> "Settings":
    """Return the settings with the port of the option, if it was given."""
    return settings if port is None else settings.model_copy(update={"metrics_port": port})
