"""A real OpenID provider (npm's `oidc-provider`), from the first refusal to a call: what a client does, step by step.

Opt-in: `npm install oidc-provider@9` in a folder of yours, and its path in TOOLGATE_OIDC_PROVIDER.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit

import httpx2
import pytest

from tests.server.test_entrance import BASE, world
from toolgate.settings import Identity

FOLDER = os.environ.get("TOOLGATE_OIDC_PROVIDER")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not FOLDER or shutil.which("node") is None, reason="needs node and TOOLGATE_OIDC_PROVIDER, a folder with oidc-provider"
    ),
]
BACK = "https://app.example/back"


@pytest.fixture
def provider() -> Iterator[str]:
    script = Path(__file__).parent / "oidc" / "provider.mjs"
    command = ["node", str(script), str(FOLDER)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield next(line.strip() for line in process.stdout if line.startswith("http"))
        finally:
            process.kill()


def identity(issuer: str, **more: Any) -> Identity:
    declared = {
        "issuer": issuer,
        "audience": f"{BASE}/mcp",
        "name": "corp",
        "everyone": {"roles": ["developer"], "tier": "pro"},
        "allow_networks": ["127.0.0.0/8"],
        **more,
    }
    return Identity.model_validate({"issuers": [declared]})


def log_in(issuer: str, resource: str, scope: str) -> str:
    """The access token of the user ada, by authorization code with PKCE, through the provider's own pages."""
    verifier = secrets.token_urlsafe(48)
    asked = {
        "client_id": "app",
        "response_type": "code",
        "redirect_uri": BACK,
        "scope": f"openid {scope}",
        "resource": resource,
        "code_challenge": base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
    }
    with httpx2.Client() as browser:
        where = through_its_pages(browser, issuer, f"{issuer}/auth?{urlencode(asked)}", BACK)
        code = dict(parse_qsl(urlsplit(where).query))["code"]
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "client_id": "app"}
        granted = browser.post(f"{issuer}/token", data={**form, "code_verifier": verifier, "resource": resource})
        return str(granted.json()["access_token"])


def through_its_pages(browser: httpx2.Client, issuer: str, page: str, back: str) -> str:
    """Where the provider sends the user ada at last, who logs in and consents; it begins with `back`."""
    answer = browser.get(page)
    for _ in range(12):
        where = answer.headers.get("location")
        if where and where.startswith(back):
            return str(where)
        if where:
            answer = browser.get(urljoin(issuer, where))
            continue
        prompt, action = (re.search(pattern, answer.text) for pattern in (r'name="prompt" value="(\w+)"', r'action="([^"]+)"'))
        assert prompt, answer.text
        assert action, answer.text
        fields = {"prompt": prompt[1], **({"login": "ada", "password": "x"} if prompt[1] == "login" else {})}
        answer = browser.post(urljoin(issuer, action[1]), data=fields)
    raise AssertionError("the provider asks without an end")


def machine_token(issuer: str, resource: str, scope: str) -> str:
    form = {"grant_type": "client_credentials", "resource": resource, "scope": scope}
    granted = httpx2.post(f"{issuer}/token", data=form, auth=("machine", "the-machines-secret"))
    return str(granted.json()["access_token"])


def challenged(answer: httpx2.Response) -> dict[str, str]:
    return dict(re.findall(r'(\w+)="([^"]*)"', answer.headers["www-authenticate"]))


async def test_a_client_finds_the_provider_logs_in_and_steps_up(provider: str, tmp_path: Path) -> None:
    async with world(tmp_path, identity=identity(provider)) as there:
        first = challenged(await there.client.post("/mcp", json={}))
        metadata: dict[str, Any] = (await there.get(first["resource_metadata"])).json()
        assert metadata["authorization_servers"] == [provider]
        shown = log_in(provider, metadata["resource"], first["scope"])
        listed = await there.get("/v1/tools", shown)
        lacking = await there.call("shop_add_item", shown)
        again = log_in(provider, metadata["resource"], challenged(lacking)["scope"])
        stepped_up = await there.call("shop_add_item", again)
        denied = await there.audit("call.denied")

    assert listed.status_code == 200
    assert (lacking.status_code, challenged(lacking)["error"], challenged(lacking)["scope"]) == (
        403,
        "insufficient_scope",
        "tools:call tools:read",
    )
    assert stepped_up.json()["problem"]["code"] != "not_permitted"
    assert (denied[-1]["principal"]["id"], denied[-1]["principal"]["credential"]) == ("corp:ada", provider)


async def test_a_program_is_let_in_and_a_token_for_another_server_is_not(provider: str, tmp_path: Path) -> None:
    async with world(tmp_path, identity=identity(provider)) as there:
        ours, others = (machine_token(provider, resource, "tools:read") for resource in (f"{BASE}/mcp", "https://other.example/mcp"))
        answers = [await there.get("/v1/tools", shown) for shown in (ours, others)]

    assert [answer.status_code for answer in answers] == [200, 401]
    assert "issued for another server" in answers[1].json()["problem"]["message"]


async def test_a_person_signs_in_to_the_console_and_out_again(provider: str, tmp_path: Path) -> None:
    async with world(tmp_path, identity=identity(provider, client_id="console")) as there:
        begun = await there.client.get("/console/sign-in", params={"issuer": "corp"})
        there.client.cookies.clear()
        mark = begun.headers["set-cookie"].partition(";")[0]
        with httpx2.Client() as browser:
            back = through_its_pages(browser, provider, begun.headers["location"], f"{BASE}/console/signed-in")
        signed_in = await there.client.get(back.removeprefix(BASE), headers={"cookie": mark})
        there.client.cookies.clear()
        again = await there.client.get(back.removeprefix(BASE), headers={"cookie": mark})
        session = {"cookie": signed_in.headers.get_list("set-cookie")[0].partition(";")[0]}
        who = (await there.client.get("/console/session", headers=session)).json()["principal"]
        listed = await there.client.get("/v1/tools", headers=session)
        await there.client.delete("/console/session", headers=session)
        ended = await there.client.get("/v1/tools", headers=session)

    assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/console/")
    assert again.headers["location"] == "/console/#/sign-in?failed=issuer"  # a code is worth something once
    assert (who["id"], who["via"]) == ("corp:ada", "token")
    assert (listed.status_code, ended.status_code) == (200, 401)
