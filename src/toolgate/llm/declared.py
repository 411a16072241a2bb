"""Who may be asked: the operator's `providers`, or without any the services whose usual variable is set. Nothing is sent here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from ipaddress import ip_address, ip_network
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr

from toolgate.egress.address import Network
from toolgate.egress.origin import locate
from toolgate.egress.wire import Reach
from toolgate.llm.kin import kin
from toolgate.llm.known import ANYWHERE, LOCAL, SERVICES, Known
from toolgate.llm.model import Model
from toolgate.settings import Settings
from toolgate.thinking import ModelFacts, ModelProvider, ProviderKind

LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
NOTHING_SAID = ModelFacts()


@dataclass(frozen=True, slots=True)
class Declared:
    """A provider, with everything that opening it takes."""

    name: str
    """Stands before the slash of a model's id."""
    kind: ProviderKind
    base_url: str
    api_key: SecretStr | None = None
    networks: tuple[Network, ...] = ()
    """Where it may be besides public addresses."""
    models: tuple[Model, ...] = ()
    """Empty: a local server, which is asked."""
    default: str = ""
    """The name of the model where only the provider is named; empty: the router chooses."""
    region: str = ""
    script: Path | None = None
    connect: float = 5.0
    """Seconds until a connection stands."""
    open: bool = False
    """Models that nobody listed may be named too."""
    by: str = "settings"
    """Or the variable of the environment that had it declared."""

    def named(self, name: str) -> Model:
        """Its model of that name, whether it is listed or not."""
        return next((each for each in self.models if each.name == name), None) or model(self.name, self.kind, name, region=self.region)

    @property
    def reach(self) -> Reach:
        """Where requests to it may go: there, and nowhere else. Raises EgressBlocked where `base_url` is no place."""
        return Reach(frozenset({locate(self.base_url)[0].origin}), self.networks)


SCRIPTED = "scripted"
"""A provider of that name, who needs no key, is always there for who names it."""


def declared(settings: Settings, environ: Mapping[str, str]) -> tuple[Declared, ...]:
    """The providers in the operator's order; of those found in the environment, in the table's."""
    if settings.providers is None:
        told = ((kind, next((each for each in service.declaring if environ.get(each)), None)) for kind, service in SERVICES.items())
        every = tuple(_found(kind, variable, environ) for kind, variable in told if variable)
    else:
        every = tuple(_declared(name, provider) for name, provider in settings.providers.items())
    if SCRIPTED not in {each.name for each in every}:
        script = _declared(SCRIPTED, ModelProvider(kind="scripted"))
        every = (*every, _only_named(replace(script, by="always")))
    every = tuple(replace(each, connect=settings.models.connect) for each in every)
    # A script among models is for who asks for it: it must not answer where they all failed.
    if any(each.kind != "scripted" for each in every):
        return tuple(_only_named(each) if each.kind == "scripted" else each for each in every)
    return every


def model(provider: str, kind: ProviderKind, name: str, facts: ModelFacts = NOTHING_SAID, region: str = "") -> Model:
    """What is known of a model: what the operator says, else what everybody knows, else what is usual."""
    service = SERVICES[kind]
    known = service.models.get(name) or kin(name) or Known(window=ANYWHERE)
    if service.local:  # what a server of one's own takes is for who started it to say
        known = replace(known, window=LOCAL, max_output=LOCAL // 2)
    priced_as = "free" if kind == "scripted" or service.local else "" if kind == "compatible" else kind
    told = Model(provider, name, region=region, tags=frozenset(facts.tags), priced_as=priced_as, **asdict(known))
    told = replace(told, **facts.model_dump(exclude_none=True, exclude={"tags"}))
    return replace(told, max_output=min(told.max_output, told.window))


def _only_named(provider: Declared) -> Declared:
    return replace(provider, models=tuple(replace(each, only_named=True) for each in provider.models))


def _declared(name: str, provider: ModelProvider) -> Declared:
    service = SERVICES[provider.kind]
    base_url = (provider.base_url or service.base_url).rstrip("/")
    facts = provider.models or dict.fromkeys(service.models, NOTHING_SAID)
    if provider.default is not None and provider.default not in facts:
        facts = {provider.default: NOTHING_SAID, **facts}
    return Declared(
        name=name,
        kind=provider.kind,
        base_url=base_url,
        api_key=provider.api_key,
        networks=(*provider.allow_networks, *_own_machine(base_url)),
        models=tuple(model(name, provider.kind, each, said, provider.region) for each, said in facts.items()),
        default=provider.default or "",
        region=provider.region,
        script=provider.script,
        open=not provider.models,
    )


def _found(kind: ProviderKind, variable: str, environ: Mapping[str, str]) -> Declared:
    """A service that the environment names, under the name of its kind."""
    service = SERVICES[kind]
    key = next((environ[each] for each in service.variables if environ.get(each)), None)
    place = next((environ[each] for each in service.places if environ.get(each)), service.base_url)
    told = ModelProvider(kind=kind, api_key=SecretStr(key) if key else None, base_url=_url(place) if service.local else place)
    return replace(_declared(kind, told), by=variable)


def _url(place: str) -> str:
    """What `OLLAMA_HOST` may hold, as a base URL: `host`, `host:port`, or a URL with or without its path.

    A server that listens on every address is asked on this machine's own.
    """
    url = place if "://" in place else f"http://{place}"
    parts = urlsplit(url)
    host = "127.0.0.1" if parts.hostname in ("0.0.0.0", "::", None) else parts.hostname  # noqa: S104
    host = f"[{host}]" if ":" in host else host
    port = parts.port or (443 if parts.scheme == "https" else 11434)
    path = parts.path.rstrip("/")
    version = "" if re.search(r"/v[0-9]+$", path) else "/v1"
    return f"{parts.scheme}://{host}:{port}{path}{version}"


def _own_machine(base_url: str) -> tuple[Network, ...]:
    """Who writes a loopback address into the settings means this machine; nothing else becomes reachable by it."""
    host = urlsplit(base_url).hostname or ""
    try:
        own = ip_address(host).is_loopback
    except ValueError:
        own = host == "localhost"
    return LOOPBACK if own else ()
