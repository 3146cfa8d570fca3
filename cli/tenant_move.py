"""`treue tenant move` and `treue tenant forget`: move a tenant to another cluster, and delete its old copy."""

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.work import explain_refusals, no_tenant
from loyalty.rules.ids import TenantId
from runtime.problems import SetupProblem

if TYPE_CHECKING:
    from loyalty.services.tenant_move import ClusterUrls

T = TypeVar("T")


@click.command()
@click.argument("tenant_id", metavar="ID", type=click.UUID)
@click.argument("cluster")
@click.option("--give-up", is_flag=True, help="Give up a move to this cluster that was interrupted.")
def move(tenant_id: uuid.UUID, cluster: str, *, give_up: bool) -> None:
    """Move a suspended tenant to CLUSTER, or go on with a move that was interrupted.

    All rows are copied and compared, and the ledger of the copy is proven. Then the old copy is closed and kept. The
    tenant stays suspended. The command works as treue_owner, treue_app and treue_relay in both clusters.
    """
    from loyalty.services.tenant_move import Move, MoveStep, give_move_up, move_tenant

    def tell(step: MoveStep) -> None:
        click.echo(f"{step.value} ...")

    asked = Move(TenantId(tenant_id), cluster)
    if give_up:
        _work(tenant_id, lambda clusters: give_move_up(clusters, asked))
        click.echo(f"{tenant_id} stays where it was, suspended. Its copy in {cluster} is deleted.")
        return
    _work(tenant_id, lambda clusters: move_tenant(clusters, asked, tell))
    click.echo(f"{tenant_id} lives in {cluster}. When it was suspended for the move, call `treue tenant resume` now.")


@click.command("forget")
@click.argument("tenant_id", metavar="ID", type=click.UUID)
@click.argument("cluster")
def forget(tenant_id: uuid.UUID, cluster: str) -> None:
    """Delete the closed copy that a tenant has left in CLUSTER when it moved away. It works as treue_owner."""
    from loyalty.services.tenant_move import Move, delete_old_copy

    deleted = _work(tenant_id, lambda clusters: delete_old_copy(clusters, Move(TenantId(tenant_id), cluster)))
    click.echo(f"{deleted} rows of {tenant_id} are deleted in {cluster}.")


def _work(tenant_id: uuid.UUID, work: "Callable[[Mapping[str, ClusterUrls]], Coroutine[Any, Any, T]]") -> T:
    """Work on the clusters. A refusal ends the command with a sentence."""
    from loyalty.services.tenant_move import ClusterUrls, MoveFailed
    from runtime.databases import provide_clusters
    from runtime.roles import ROLES
    from runtime.settings import load_settings
    from tenancy.moving import TenantBusy

    with provide_clusters(load_settings(), *ROLES) as clusters, explain_refusals(unknown=no_tenant(tenant_id)):
        try:
            return asyncio.run(work({name: ClusterUrls(*urls) for name, urls in clusters.items()}))
        except MoveFailed as failed:
            raise SetupProblem(f"Nothing was moved: {failed}.") from failed
        except TenantBusy as busy:
            raise SetupProblem("Nothing was moved: the tenant is busy, or is moved by somebody else.") from busy
