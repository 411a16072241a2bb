"""`toolgate demo`: the main job from end to end on this machine, without a key and without a network.

Three processes: this one, which is the stand-in for the GitHub API; `toolgate serve` with the bundled integrations,
GitHub's led to the stand-in; and an MCP client that finds a tool, calls it and is refused another. Everything shown
happened: requests as the stand-in heard them, answers as the client got them, audit lines as they were written.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolgate.cli.audit import COLUMNS, ENDINGS, as_line, as_row, newest
from toolgate.cli.endings import Ended, ended
from toolgate.cli.options import json_option, settings_of, wait_for
from toolgate.cli.output import emit, say, show, table

if TYPE_CHECKING:
    from asyncio.subprocess import Process

SECONDS = 60.0  # for everything; it took 5 on 2 busy cores
SPEC = "feature-spec.md"
STOP_SECONDS = 15.0  # longer than the grace that a server gives its calls
GUEST = {
    "role": "guest",
    "inherits": ["developer"],
    "permissions": [
        {
            "id": "guest.no.issues",
            "tools": "github_create_issue",
            "operations": ["call"],  # seen all the same, so that the refusal has a reason and is not just no such tool
            "effect": "deny",
            "reason": "guests read here; issues are opened by members",
        }
    ],
}
"""The role of the demo's client."""
NEXT = """
What to type next:
  toolgate tools search list open issues      find a tool
  toolgate agent "TASK"                       have a model do it, with the tools behind the gate
  toolgate serve                              serve the real GitHub and GSA integrations
  toolgate connect claude-desktop             how to reach it from a client
  toolgate serve --openapi FILE-OR-URL        govern an API of your own"""


@click.command()
@json_option
def command(as_json: bool) -> None:
    """Run the main job end to end on this machine, without key or network."""
    wait_for(_demo(as_json))


async def _demo(as_json: bool) -> None:
    import asyncio
    import tempfile

    from toolgate.standin import GitHub, serving

    story = _Story(as_json)
    with tempfile.TemporaryDirectory(prefix="toolgate-demo-") as temporary:
        folder = Path(temporary)
        try:
            async with asyncio.timeout(SECONDS), serving(GitHub().app(story.heard)) as github:
                story.tell(f"A stand-in for api.github.com answers at {github}.")
                config = _write_settings(folder, github)
                async with _server(config) as ready:
                    story.serving(ready)
                    await _client(ready["mcp"], story)
                # Where the server wrote it, whatever `TOOLGATE_DATA_DIR` says here.
                its = settings_of(config).model_copy(update={"data_dir": folder / "state", "store": "sqlite", "ledger": None})
                story.audited([as_line(entry) for entry in await newest(its, 10, kind=ENDINGS)])
                await _pipeline(config, story)
        except TimeoutError:
            raise ended("error", f"the demo did not end within {SECONDS:g} s") from None
    story.end()


class _Story:
    """Tells what happens while it happens, or keeps it for `--json`; at the end holds it to what a demo must show."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._happened: dict[str, Any] = {"requests": [], "pipeline": {"requests": 0, "runs": []}}
        self._piping = False

    def tell(self, text: str) -> None:
        if not self._as_json:
            show(text)

    def heard(self, method: str, target: str) -> None:
        """The stand-in got a request."""
        if self._piping:  # of which there are many, and what came of them is shown
            self._happened["pipeline"]["requests"] += 1
            return
        self._happened["requests"].append(f"{method} {target}")
        self.tell(f"   the stand-in hears:  {method} {target}")

    def serving(self, ready: Mapping[str, Any]) -> None:
        self._happened["serving"] = ready
        self.tell(f"toolgate serves {ready['tools']} tools at {ready['mcp']}, in a process of its own.")

    def step(self, step: Mapping[str, Any]) -> None:
        """The client did something."""
        self._happened[step["step"]] = step
        match step["step"]:
            case "found":
                self.tell(
                    f"\nAn MCP client connects (protocol {step['protocol']}) and is shown {step['listed']} tools; more are found by search."
                )
                self.tell(f"   it searches:         {step['query']}\n   it finds:            {', '.join(step['tools'])}")
            case "calls":
                self.tell(f"\n   it calls:            {step['name']} {json.dumps(step['arguments'])}")
            case "answered":
                self.tell(f"   and gets:            {_short(step['text'])}")
            case "refused":
                self.tell(f"   and is refused:      {step['text']}")

    def audited(self, lines: list[dict[str, Any]]) -> None:
        self._happened["audit"] = lines
        self.tell("\nWhat the audit says, newest first:")
        if not self._as_json:
            table(COLUMNS, [as_row(line) for line in lines])

    def begin_pipeline(self) -> None:
        self._piping = True
        self.tell(
            f"\nThe agent turns {SPEC}, a specification, into linked issues of acme/rocket. Its model is a script that drafts an issue for"
            "\neach part; every call passes the same gate, and a person's yes to creating them was given beforehand (--approve always)."
        )

    def piped(self, ended: Mapping[str, Any]) -> None:
        """The pipeline came to its end."""
        runs = self._happened["pipeline"]["runs"]
        runs.append(ended)
        counts = ended["created"]["counts"]
        if len(runs) == 1:
            for issue in ended["created"]["issues"]:
                links = ", ".join(f"{link['kind']} {link['to']}" for link in issue["links"])
                self.tell(f"   {issue['status']:<8} #{issue['number']}  {issue['key']}{f'  ({links})' if links else ''}")
        else:
            self.tell(f"   Once more: {counts['created']} created, {counts['existing']} there already.")

    def end(self) -> None:
        """
        Raises:
            Ended: something that a demo must show did not happen.
        """
        happened = self._happened
        if happened["answered"]["error"] or not happened["refused"]["error"] or len(happened["requests"]) != 1:
            raise ended("error", "the demo did not go as it must: one call answered by the stand-in, one refused before it")
        if [run["created"]["counts"]["created"] for run in happened["pipeline"]["runs"]] != [5, 0]:
            raise ended("error", "the demo did not go as it must: five issues created, and none the second time")
        if self._as_json:
            emit(happened)
        else:
            say(NEXT)


def _short(text: str) -> str:
    return text if len(text) <= 240 else f"{text[:240]}…"


def _write_settings(folder: Path, github: str) -> Path:
    """The bundled integrations with GitHub's led to `github`, and settings of their own, below `folder`."""
    import shutil

    from toolgate import documents
    from toolgate.settings import bundled

    specs = folder / "tool-specs"
    shutil.copytree(bundled("tool-specs"), specs)
    file = specs / "github" / "integration.yaml"
    declaration = documents.parse(file.read_bytes(), name=str(file))
    # No credential of yours is shown to a stand-in, and nothing but loopback is reached.
    declaration |= {"base_url": github, "servers": [], "auth": {"type": "none"}, "allow_networks": ["127.0.0.0/8"]}
    file.write_text(json.dumps(declaration))
    shutil.copytree(bundled("policies"), folder / "policies")
    (folder / "policies" / "roles" / "guest.yaml").write_text(json.dumps(GUEST))
    settings = {
        "tool_specs": ["tool-specs"],
        "policies": "policies",
        "data_dir": "state",
        "server": {"port": 0},
        "anonymous": {"roles": ["guest"]},
    }
    config = folder / "toolgate.yaml"
    config.write_text(json.dumps(settings))
    return config


@asynccontextmanager
async def _server(config: Path) -> AsyncIterator[Mapping[str, Any]]:
    """`toolgate serve` as a child, until the block ends; yields what it says when it is ready."""
    async with _python("-m", "toolgate", "serve", "--json", "--config", str(config)) as process:
        assert process.stdout is not None
        line = await process.stdout.readline()
        if not line:
            _, complaint = await process.communicate()
            raise _failed("the server did not start", complaint)
        yield json.loads(line)


async def _client(url: str, story: _Story) -> None:
    async with _python("-m", "toolgate.cli.demo_client", url) as process:
        assert process.stdout is not None
        async for line in process.stdout:
            story.step(json.loads(line))
        _, complaint = await process.communicate()
        if process.returncode != 0:
            raise _failed("the client failed", complaint)


async def _pipeline(config: Path, story: _Story) -> None:
    """`toolgate run spec-to-issues`, twice."""
    from toolgate.settings import bundled

    story.begin_pipeline()
    for _ in range(2):
        spec = str(bundled("examples") / SPEC)
        words = ("run", "spec-to-issues", spec, "--repo", "acme/rocket", "--provider", "scripted", "--approve", "always")
        async with _python("-m", "toolgate", *words, "--config", str(config), "--json") as process:
            said, complaint = await process.communicate()
        if process.returncode != 0:
            raise _failed("the pipeline failed", complaint)
        story.piped(json.loads(said))


def _failed(what: str, complaint: bytes) -> Ended:
    return ended("error", f"{what}. {complaint.decode(errors='replace').strip()[-1000:]}")


@asynccontextmanager
async def _python(*words: str) -> AsyncIterator[Process]:
    """A child, which ends with the block."""
    import asyncio
    from asyncio.subprocess import PIPE, create_subprocess_exec

    # Settings of yours in the environment are not for the demo.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TOOLGATE_")}
    process = await create_subprocess_exec(sys.executable, *words, stdout=PIPE, stderr=PIPE, env=environment)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
