"""A person signs in with a real browser, at a console behind the operator's front; a neighbour's page gets nothing."""

from urllib.parse import quote, urlencode

import orjson

from tests.acceptance.business import Business
from tests.acceptance.chromium import chromium, find_chromium
from tests.acceptance.front import Front
from tests.acceptance.sign_in import open_stage
from tests.fixtures.left_out import leave_out
from tests.fixtures.provider import Provider
from tests.fixtures.server import Installation


async def test_a_person_signs_in_with_headless_chromium(
    salon: Business, sign_in_provider: Provider, installation: Installation
) -> None:
    """To the provider and back, calls, a socket, signing out; and another origin of the same site with the cookie."""
    program = find_chromium()
    if program is None:
        leave_out("a person signs in with a browser", "Chromium (`apt-get install chromium`)")
    async with Front() as front, Front() as neighbour:
        settings = {"TREUE_PRIVATE_PROVIDERS": "true", "TREUE_PUBLIC_URL": front.origin}
        async with installation.serve_apart("behind-a-front", settings) as server:
            front.upstream_port = server.port
            stage = await open_stage(salon, sign_in_provider, server)
            assert stage.sign_in_url.startswith(front.origin)
            told = {"endpoint": f"{front.origin}/graphql"}
            last = f"{front.origin}/console?{urlencode({**told, 'out': 'yes'})}"
            between = f"{neighbour.origin}/console?{urlencode({**told, 'foreign': 'yes', 'then': last})}"
            first = f"/console?{urlencode({**told, 'then': between}, quote_via=quote)}"
            with chromium(program, f"{stage.sign_in_url}?{urlencode({'returnTo': first})}"):
                seen = await front.steps_to("end")
                assert seen["cookie in scripts"] == ""
                assert seen["call"]["status"] == 200
                assert orjson.loads(seen["call"]["body"])["data"]["viewer"]["name"] == "Mara"
                assert seen["without the header"]["status"] == 403
                assert seen["socket"] == {"type": "connection_ack"}
                seen = await neighbour.steps_to("end")
                assert seen["call"] == seen["without the header"] == {"blocked": "TypeError"}
                assert seen["socket"] == {"code": 4403}
                seen = await front.steps_to("end")
                assert seen["call"]["status"] == 200
                assert seen["signed out"]["endSessionUrl"].startswith(sign_in_provider.issuer)
                assert seen["closed"] == {"code": 4403}
                assert seen["call again"]["status"] == 401
    roles = await salon.owner.get("{ roles { nodes { name } } }")
    assert "Evil" not in [role["name"] for role in roles["nodes"]]
