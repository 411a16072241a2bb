"""The sections of the settings for what our own tools stand on. What has no section has no tools."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from toolgate.section import Seconds, Strict

MIB = 1 << 20


class Code(Strict):
    """Running code that somebody sends, in a sandbox: the tools `execute_code` and `run_tests`."""

    enabled: bool = False
    """Whether there are such tools at all."""
    way: Literal["auto", "bubblewrap", "landlock"] = "auto"
    """How code is contained: bubblewrap where it works, else Landlock, or only this one."""
    uid: int | None = Field(default=None, gt=0)
    """Whose rights code has outside of the sandbox when Toolgate is root; absent: 61184, a user without a name."""
    seconds: Annotated[Seconds, Field(gt=0, le=300)] = 10.0
    """Seconds that one run may take."""
    cpu_seconds: int = Field(default=5, gt=0, le=300)
    """Seconds of processor time that each of its processes may take."""
    memory: int = Field(default=640 * MIB, ge=64 * MIB)
    """Bytes of memory of all its processes; below 600 MiB neither Deno nor node starts."""
    disk: int = Field(default=64 * MIB, ge=MIB)
    """Bytes that it may write, and as many again as temporary files."""
    processes: int = Field(default=64, gt=0)
    """Processes and threads at the same time."""
    output: int = Field(default=64 * 1024, gt=0)
    """Bytes of each of its two streams; what writes more is ended."""
    at_once: int = Field(default=2, gt=0)
    """Runs at the same time; further ones wait."""
    python: Path | None = None
    """The interpreter; absent: /usr/bin/python3, or that of Toolgate where everybody may run it."""
    packages: Path | None = None
    """Folder of Python packages that code may import, such as `lib/python3.11/site-packages` of an environment made for it."""
    deno: Path | None = None
    """Deno; absent: looked for on PATH and beside Toolgate's Python."""
    node: Path | None = None
    """node; absent: looked for on PATH."""


class Embeddings(Strict):
    """Who turns texts into vectors, so that `retrieve_context` finds passages by what they mean and not by words alone."""

    provider: str
    """A name of `providers`, or of a service whose variable is set, that has OpenAI's `/embeddings`; passages and questions go there."""
    model: str
    """The provider's name for it, such as `text-embedding-3-small`."""
    dimensions: int | None = Field(default=None, ge=1, le=8192)
    """Numbers of a vector, asked for where the model can shorten them; absent: as many as the model gives."""
    seconds: Annotated[Seconds, Field(gt=0, le=20)] = 2.0
    """Seconds that a question waits for its vector; afterwards it is looked for by words alone."""


class Library(Strict):
    """The documents that `toolgate index` indexes."""

    embeddings: Embeddings | None = None
    """Absent: passages are found by words alone, and nothing leaves this machine."""


class WebSearch(Strict):
    """Somebody who searches the web, for the tool `web_search`. Several are asked at once, and their results made one list."""

    kind: Literal["searxng", "google"]
    """`searxng`: an instance that answers in JSON; `google`: Google's Programmable Search, Custom Search JSON API."""
    url: str | None = None
    """Where it is, such as `https://search.example.org`; absent: Google's own."""
    key: SecretStr | None = None
    """Google's API key, best as `${GOOGLE_API_KEY}`."""
    engine: str | None = None
    """Google's `cx`: the id of the Programmable Search Engine."""
    allow_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """CIDRs where it may be besides public addresses, such as `127.0.0.0/8` for an instance on this machine."""

    @model_validator(mode="after")
    def _meant(self) -> Self:
        if self.kind == "searxng" and self.url is None:
            raise ValueError("searxng needs url")
        if self.kind == "google" and self.engine is None:
            raise ValueError("google needs engine, and key")
        return self


class Workflow(Strict):
    """A workflow of n8n or Activepieces that `run_workflow` may start, by its webhook."""

    kind: Literal["n8n", "activepieces"]
    """Whose webhook it is."""
    url: str
    """Of the webhook, as its editor shows it."""
    description: str = ""
    """What it does and what it wants, for the model that chooses."""
    headers: Mapping[str, SecretStr | None] = {}
    """What it wants to be shown, such as `X-Api-Key: ${WORKFLOW_KEY}`; null, as where the variable is not set: not sent."""
    status_url: str | None = None
    """Where its state can be asked while it runs, `{id}` in it stands for the run's; absent: the answer to the start is all there is."""
    seconds: Annotated[Seconds, Field(gt=0, le=300)] = 60.0
    """Seconds that it is waited for."""
    allow_networks: tuple[IPv4Network | IPv6Network, ...] = ()
    """CIDRs where it may be besides public addresses."""

    @model_validator(mode="after")
    def _meant(self) -> Self:
        if self.status_url is not None and "{id}" not in self.status_url:
            raise ValueError("status_url has no {id} in it")
        return self
