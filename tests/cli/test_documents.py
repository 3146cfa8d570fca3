"""`treue documents`, as an operator calls it, with manifests as the tools of clients write them."""

import hashlib
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from cli.manifest import read_manifest
from loyalty.services.program import get_tenant
from loyalty.services.trusted_document import page_documents
from loyalty.services.world import World
from loyalty.storage.window import Window
from runtime.problems import SetupProblem
from runtime.roles import DatabaseUrls
from tenancy.database import Database
from tests.cli.test_verify import two_salons_with_points
from tests.fixtures.documents import sha256

VIEWER = "query Viewer {\n  viewer {\n    name\n  }\n}"
KIND = "query Kind { viewer { kind } }"
APOLLO = {
    "format": "apollo-persisted-query-manifest",
    "version": 1,
    "operations": [
        {"id": sha256(VIEWER), "name": "Viewer", "type": "query", "body": VIEWER},
        {"id": sha256(KIND), "name": "Kind", "type": "query", "body": KIND},
    ],
}
PAIRS = {sha256(VIEWER): VIEWER, f"sha256:{sha256(KIND)}": KIND}


def run(urls: DatabaseUrls, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with the URLs of the serving roles alone."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TREUE_APP_URL": urls.app,
        "TREUE_RELAY_URL": urls.relay,
    }
    command = [sys.executable, "-m", "cli.main", "documents", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("manifest", [APOLLO, PAIRS])
def test_reads_what_apollo_relay_and_graphql_codegen_write(manifest: object) -> None:
    offered = read_manifest(json.dumps(manifest).encode())
    assert [(one.sha256, one.text, one.name) for one in offered] == [
        (sha256(VIEWER), VIEWER, "Viewer"),
        (sha256(KIND), KIND, "Kind"),
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[", "JSON"),
        ("[]", "object"),
        ("{}", "object"),
        (json.dumps(APOLLO | {"version": 2}), "version 1"),
        (json.dumps(APOLLO | {"format": "other"}), "format"),
        (json.dumps(APOLLO | {"operations": {}}), "operations"),
        (json.dumps(APOLLO | {"operations": [{"id": "a"}]}), "has no text"),
        (json.dumps({hashlib.md5(KIND.encode()).hexdigest(): KIND}), "SHA256"),  # noqa: S324 - as Relay does
        (json.dumps({sha256(VIEWER): KIND}), sha256(KIND)),
        (json.dumps({sha256(KIND): {"text": KIND}}), "has no text"),
    ],
)
def test_a_wrong_manifest_is_refused_with_what_to_change(content: str, told: str) -> None:
    with pytest.raises(SetupProblem, match=told):
        read_manifest(content.encode())


async def test_an_operator_registers_a_manifest_and_sets_the_rule_back(
    own_database_urls: DatabaseUrls, tmp_path: Path
) -> None:
    salon, _ = await two_salons_with_points(own_database_urls)
    tenant, manifest = ("--tenant", str(salon.tenant_id)), tmp_path / "persisted-query-manifest.json"
    manifest.write_text(json.dumps(APOLLO))
    done = run(own_database_urls, "register", *tenant, str(manifest))
    assert (done.returncode, done.stdout) == (0, "2 of 2 documents are new.\n"), done.stderr
    assert run(own_database_urls, "register", *tenant, str(manifest)).stdout == "0 of 2 documents are new.\n"
    assert run(own_database_urls, "rule", *tenant, "everybody").returncode == 0
    wrong = {sha256("{ nope }"): "{ nope }", sha256("{ viewer { name } }"): "{ viewer { name } }"}
    manifest.write_text(json.dumps(wrong))
    refused = run(own_database_urls, "register", *tenant, str(manifest))
    assert refused.returncode == 1
    assert "nope" in refused.stderr
    database = Database(own_database_urls.app, pool_size=1)
    world = World(database)
    assert {row.name for row in await page_documents(world, salon.manager, None, Window(10))} == {"Viewer", "Kind"}
    assert (await get_tenant(world, salon.manager)).document_rule.name == "EVERYBODY"
    assert run(own_database_urls, "rule", *tenant, "any").returncode == 0
    assert (await get_tenant(world, salon.manager)).document_rule.name == "ANY"
    nobody = run(own_database_urls, "rule", "--tenant", str(uuid.uuid4()), "any")
    assert (nobody.returncode, "There is no tenant" in nobody.stderr) == (1, True)
    await database.close()
