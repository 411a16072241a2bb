"""The four nouns that everything else is about: a Principal makes a Call of a Tool and gets an Outcome."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from toolgate.money import FREE, Micros, Price


class Unset:
    """The type of `UNSET`, for values whose None is JSON's null."""

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


UNSET: Final = Unset()
PROTOCOL: Final = "protocol"
"""The tag of tools that stand for other requests of the protocol, such as `resources/read`; clients make those instead."""

if TYPE_CHECKING:
    changed = replace
else:
    _new, _fill = object.__new__, object.__setattr__

    def changed(value, /, **changes):
        """`dataclasses.replace` at a fifth of its cost, for frozen values without slots that check nothing when they are made.

        A call is changed a few times on its way and its outcome on the way back; that was a twentieth of all that a call costs.
        """
        new = _new(value.__class__)
        _fill(new, "__dict__", value.__dict__ | changes)
        return new


@dataclass(frozen=True, slots=True)
class Annotations:
    """What a call of the tool does to the world; the words are MCP's."""

    read_only: bool = False
    destructive: bool = True
    idempotent: bool = False
    open_world: bool = True


READING: Final = Annotations(read_only=True, destructive=False, idempotent=True, open_world=False)
"""Of tools of ours that only read."""


DRAWN: Final = 64
"""Ids at once."""
AGENT: Final = "agent:"
"""Begins the id of a principal that acts for the one whose id comes after."""
DELEGATED: Final = ("delegate",)
"""The roles that bound agents."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking."""

    id: str
    """Such as `local:ada`, `anonymous`."""
    roles: tuple[str, ...] = ()
    tier: str = "free"
    tenant: str = "default"
    via: Literal["stdio", "terminal", "loopback", "key", "token"] = "loopback"
    """How the identity was established. Only `stdio` and `terminal` share the machine's files with us."""
    scopes: frozenset[str] | None = None
    """OAuth scopes: they bound what the roles grant and never grant themselves. None: no bound."""
    credential: str | None = None
    """Names, never holds, what was shown: the id of an API key, the issuer of a token."""
    acting_for: tuple[str, ...] = ()
    """On whose behalf, the nearest first: an agent acts for its user."""
    bound_by: tuple[str, ...] | None = None
    """Roles that bound what `roles` grant, as an agent's do: both have to allow. None: no bound."""
    subject: str | None = field(default=None, repr=False, compare=False)
    """Names the token that was shown, to the exchange of tokens and to nobody else; None: there is none to exchange."""

    def __hash__(self) -> int:
        # What is kept by caller is looked up several times a call, and to hash all the rest takes as long as a step.
        return hash((self.tenant, self.id, self.credential))

    @property
    def user(self) -> str:
        """The id of the person or program at the beginning: whose own credentials and whose money it is."""
        return self.acting_for[-1] if self.acting_for else self.id

    @property
    def every_role(self) -> tuple[str, ...]:
        """Those that grant, and those that bound."""
        return (*self.roles, *(self.bound_by or ()))

    def delegate(self) -> Principal:
        """An agent of this principal's: it may do what this one may, as far as the role `delegate` lets agents, and is told apart.

        An agent's own agent is the same one: it can be given no more, and there is no less to give.
        """
        if self.bound_by == DELEGATED:
            return self
        return replace(self, id=AGENT + self.id, acting_for=(self.id, *self.acting_for), bound_by=DELEGATED)


@dataclass(frozen=True, slots=True)
class Rate:
    """So many calls in any window of so many seconds."""

    calls: int
    seconds: float
    pool: str
    """What all calls that count together have in common: an integration's name, or that of a key that several share."""


@dataclass(frozen=True, eq=False)
class Tool:
    """Something that can be called. It carries its own `run`; where it came from no longer matters."""

    name: str
    """1-48 characters of [A-Za-z0-9_-]."""
    description: str
    """What a model reads before it chooses."""
    schema: dict[str, Any]
    """The full JSON Schema (2020-12) of the arguments, enforced at call time. Nobody changes it."""
    run: Callable[[Call], Awaitable[Outcome]]
    advertised: dict[str, Any] | None = None
    """The slim schema that lists show; None: `schema` itself."""
    title: str | None = None
    details: str = ""
    """The whole description, where `description` is a shortened one."""
    annotations: Annotations = Annotations()
    integration: str = "toolgate"
    tags: tuple[str, ...] = ()
    away: Callable[[], str | None] | None = None
    """Says why what answers it cannot be reached at present, in a sentence; None: nobody knows of anything."""
    listed: bool = True
    """In `tools/list`; otherwise found by `search_tools`."""
    price: Price | None = None
    """What a call costs; None: not known."""
    cache: float = 0.0
    """Seconds that an answer may be given again to who asks the same, if it only reads."""
    public: bool = False
    """Answers are the same for all callers, so that one may be given what another asked for."""
    timeout: float = 30.0
    """Seconds that one call may take in all."""
    rates: tuple[Rate, ...] = ()
    """What the other side allows, over all callers."""
    concurrency: int | None = None
    """Calls of the tool's integration at the same time, over all callers; None: any number."""
    remote: bool = True
    """Answered by another machine: what fails may be tried again, and what keeps failing is left alone for a while."""
    search_text: str = ""
    """Words beside name and description that a search may match: path, parameters."""
    request: str = ""
    """What it asks of the other side, for people: `GET /repos/{owner}/{repo}`; empty where that is not HTTP."""
    quiet: bool = False
    """Nothing is told to its caller's client and nothing asked of it while it runs: the answer is all there is."""
    concealed: bool = False
    """A stand-in for a tool that does not exist or that the caller may not know of: only ever refused."""
    fingerprint: str = ""
    """SHA-256 of everything a model sees; empty for our own tools, which cannot drift."""
    passed: Mapping[str, Any] = field(default_factory=dict)
    """What its MCP server says of it beside, passed on to MCP clients as it is: `outputSchema`, `icons`, `_meta`."""

    @property
    def input_schema(self) -> dict[str, Any]:
        """The schema to show."""
        return self.schema if self.advertised is None else self.advertised


def protocol_tool(
    name: str,
    description: str,
    schema: dict[str, Any],
    run: Callable[[Call], Awaitable[Outcome]],
    annotations: Annotations = READING,
    **more: Any,
) -> Tool:
    """A tool of ours that stands for something of the protocol or the agent: in no list, and free.

    Args:
        more: further fields of `Tool`.
    """
    return Tool(name, description, schema, run, annotations=annotations, tags=(PROTOCOL,), listed=False, price=FREE, remote=False, **more)


Progress = Callable[[float, float | None, str | None], Awaitable[None]]
"""Tell the caller how far it is: done so far, total if known, a sentence."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked before a call may go on."""

    id: str
    """Of the approval that waits."""
    text: str
    """Shown to the person: which call, with which arguments. Secrets are masked."""


Ask = Callable[[Question], Awaitable[bool | None]]
"""Ask the person at the caller's client. None: no answer came, and the question goes on waiting."""


class Session(Protocol):
    """What lasts longer than a client's calls, where its era has that; for what belongs to none of them."""

    async def gone(self) -> None:
        """Return once it has ended."""

    async def tell(self, method: str, params: Mapping[str, Any]) -> None:
        """Send the client a notification."""

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put a question to it and wait. Raises ProtocolError when it refuses."""


class Client(Protocol):
    """The MCP client that a call came by: what it can do, and a way to it while the call runs."""

    key: str
    """Equal for calls that may share a session with a server behind us: one client's, and never two principals'."""
    in_rounds: bool
    """It is asked by the answer to its call, which it makes again (2026-07-28); otherwise while its call waits."""
    capabilities: Mapping[str, Any]
    """As it declared them."""
    meta: Mapping[str, Any]
    """What it says in `_meta` to whoever answers in the end."""
    answers: Mapping[str, Any]
    """`inputResponses` and `requestState`, where it makes a call again."""
    session: Session | None
    """None: it has none, each of its calls stands alone."""
    log_level: str | None
    """The least level of log messages that it wants; None: it wants none."""

    async def tell(self, method: str, params: Mapping[str, Any]) -> None:
        """Send it a notification that belongs to its call."""

    async def ask(self, method: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put a question to it and wait, where it is not `in_rounds`. Raises ProtocolError when it refuses."""


_IDS: list[str] = []
"""Drawn, and given to nobody yet. To ask the kernel for each takes longer than any step of a call."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_IDS.clear)


def new_id() -> str:
    """A new call id: 32 hexadecimal characters, out of 128 random bits."""
    try:
        return _IDS.pop()
    except IndexError:
        drawn = os.urandom(16 * DRAWN).hex()
        _IDS.extend([drawn[at : at + 32] for at in range(0, len(drawn), 32)])
        return _IDS.pop()


def key(*parts: str | bytes) -> str:
    """A name for what `parts` name together: 32 hexadecimal characters that no other parts have.

    Each part goes in with its length before it. To join them by a character would make one of ("a/b", "c") and ("a", "b/c").
    """
    digest = blake2b(digest_size=16)
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


@dataclass(frozen=True)
class Call:
    """One call on its way through the gate. It changes only by `changed`."""

    tool: Tool
    arguments: Mapping[str, Any]
    """As sent until `validate` has passed, then validated and canonical."""
    principal: Principal
    id: str = field(default_factory=new_id)
    depth: int = 0
    """0 for a caller outside, one more for each call made by a tool of ours."""
    parent_id: str | None = None
    idempotency_key: str | None = None
    deadline: float | None = None
    """On the clock of `time.monotonic`, seconds; None until `run` sets it from the tool's timeout."""
    trace_parent: str | None = None
    """W3C `traceparent` of the caller."""
    approval: str | None = None
    """The id of a person's yes: as claimed by the caller until `approve` has passed, then the one it was let through by."""
    obligations: tuple[str, ...] = ()
    """What has to be met before it runs, such as `approve`; set by `permit`, from the rule that permits it."""
    policy: str = ""
    """The digest of the policy that permitted it; set by `permit`."""
    rule: str | None = None
    """The id of the rule that permitted it; set by `permit`."""
    tainted: bool = False
    """Its caller has read what strangers may have written, so that it may be their idea; policies may ask for it."""
    session: str | None = None
    """What several calls of one caller belong to, such as an agent's run; it may have a budget of its own."""
    progress: Progress | None = None
    ask: Ask | None = None
    """None: nobody is there to be asked."""
    client: Client | None = field(default=None, repr=False, compare=False)
    """None: it came by no MCP client."""
    work: Callable[[Call], Awaitable[Outcome]] | None = field(default=None, repr=False, compare=False)
    """Done in place of the tool's own `run`, by a face that has what the tool does in a form of its own; None: that `run`."""

    @property
    def once(self) -> str:
        """Names what is to happen once, in 32 hexadecimal characters.

        Equal for calls of one caller with one tool and one idempotency key; without a key, the call's own id.
        """
        if self.idempotency_key is None:
            return self.id
        who = self.principal
        return key(who.tenant, who.id, str(len(who.acting_for)), *who.acting_for, self.tool.name, self.idempotency_key)

    def seconds_left(self) -> float:
        """Seconds until the deadline, at least 0; the tool's timeout when there is no deadline yet."""
        if self.deadline is None:
            return self.tool.timeout
        return max(0.0, self.deadline - time.monotonic())


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of an answer that is text."""

    text: str


@dataclass(frozen=True, slots=True)
class Binary:
    """A piece of an answer that is bytes: an image, a sound, a file."""

    data: bytes = field(repr=False)
    media_type: str = "application/octet-stream"
    uri: str = "toolgate:result"
    """Names the resource towards MCP clients; nothing is served under it."""


@dataclass(frozen=True, slots=True)
class Passed(Text):
    """A content block of an MCP server's that is passed on as it is; `text` says for others what can be said of it in words."""

    block: Mapping[str, Any] = field(default_factory=dict, compare=False)


Content = Text | Binary


@dataclass(frozen=True, slots=True)
class Problem:
    """Why there is no good answer."""

    code: str
    """Stable, in snake_case: the `code` of the error it came from."""
    message: str
    retry_after: float | None = None
    """Seconds."""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a call ended, the good way or with a problem."""

    content: tuple[Content, ...] = ()
    structured: Any = UNSET
    """The answer as a JSON value, where it is one."""
    problem: Problem | None = None
    cost: Micros = 0
    """What was charged; set by `spend`."""
    metered: Micros | None = None
    """What the other side says the call has cost; None: it does not say."""
    effect: Literal["none", "done", "unknown"] = "done"
    """What is known of the effect on the other side."""
    fresh: float | None = None
    """Seconds for which the other side lets the answer be given again, 0 for not at all; None: it does not say."""
    replayed: bool = False
    """It is the outcome of an earlier call with the same idempotency key."""
    refused: bool = False
    """The gate said no before anything ran."""
    rule: str | None = None
    """The policy rule that decided; for the audit."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What steps have to say to the audit and to nobody else, by step: an approval's id, what was reserved. No secrets."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """JSON for programs beside the answer: `status`, `next` (ready-made arguments of the next page)."""
    passed: Mapping[str, Any] = field(default_factory=dict)
    """`_meta` of the MCP server that answered, passed on to MCP clients as it is."""

    @property
    def ok(self) -> bool:
        return self.problem is None

    @property
    def text(self) -> str:
        """What of it is text, a line for each piece at least."""
        return "\n".join(piece.text for piece in self.content if isinstance(piece, Text))
