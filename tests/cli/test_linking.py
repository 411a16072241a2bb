"""`toolgate credentials link` as a person runs it: a process, a browser that comes back, and strangers who knock."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import anyio
import httpx2

from tests.oauth.authority import Authority, Resource
from tests.upstream.conftest import settings_of
from toolgate.cli.linking import waiting
from toolgate.standin import serving
from toolgate.tasks import beside


async def test_a_consent_given_in_a_browser_is_kept_for_its_user(tmp_path: Path) -> None:
    authority = Authority()
    resource = Resource(authority)
    async with serving(authority.app()) as authority.url, serving(resource.app()) as resource.url:
        auth = {"type": "oauth2_authorization_code", "per_user": True}
        declared = {"url": f"{resource.url}/mcp", "allow_networks": ["127.0.0.0/8"], "servers": [authority.url], "auth": auth}
        settings_of(tmp_path, {"tracker": declared}, store="sqlite")
        words = ("credentials", "link", "tracker", "--user", "corp:ada", "--port", "0", "--no-browser", "--json")
        command = [sys.executable, "-m", "toolgate", *words, "--config", str(tmp_path / "toolgate.yaml")]
        with anyio.fail_after(60):
            async with await anyio.open_process(command) as process:
                assert process.stdout is not None
                assert process.stderr is not None
                said = ""
                while (match := re.search(r"http://\S+/authorize\S+\n", said)) is None:
                    said += (await process.stderr.receive()).decode()
                async with httpx2.AsyncClient() as browser:
                    page = await browser.get(match[0].strip(), follow_redirects=True)
                out = b"".join([piece async for piece in process.stdout]).decode()

    assert process.returncode == 0
    assert "close this page" in page.text
    assert json.loads(out) | {"scopes": []} == {
        "integration": "tracker",
        "user": "corp:ada",
        "tenant": "default",
        "issuer": authority.url,
        "scopes": [],
    }
    kept = [file for file in tmp_path.rglob("*") if file.is_file() and next(iter(authority.tokens)).encode() in file.read_bytes()]
    assert kept == []


async def test_who_knocks_without_our_state_ends_nothing() -> None:
    async with waiting(0) as here, beside() as tasks, httpx2.AsyncClient() as http:
        answers: list[str] = []

        async def wait() -> None:
            answers.append(await here.answer("s" * 32))

        tasks.start_soon(wait)
        await anyio.lowlevel.checkpoint()
        base = here.redirect.removesuffix("/oauth/callback")
        with anyio.fail_after(60):
            strangers = [
                await http.get(f"{here.redirect}?code=x&state=guessed"),
                await http.get(f"{here.redirect}?code=x"),
                await http.get(f"{here.redirect}?code=x&state={'s' * 32}&state=x"),
                await http.post(f"{here.redirect}?code=x&state={'s' * 32}"),
                await http.get(f"{here.redirect}?code=x&state={'s' * 32}", headers={"host": "evil.example"}),
                await http.get(base),
            ]
            right = await http.get(f"{here.redirect}?code=x&state={'s' * 32}")
            while not answers:
                await anyio.lowlevel.checkpoint()

    assert [answer.status_code for answer in strangers] == [400, 400, 400, 404, 404, 404]
    assert right.status_code == 200
    assert right.headers["content-security-policy"] == "default-src 'none'"
    assert answers == ["code=x&state=" + "s" * 32]
