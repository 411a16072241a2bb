"""What each part of a served Toolgate gets to see: everybody the same arguments, nobody a secret.

Cases F21, F28, F40 and F41 of docs/reliability.md.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.faults.serving import CALLER, ENVELOPE, MODERN, Answer, Server, Things, Told, gone_is_fine, http, lay_out, served
from toolgate.server.keys import Keys
from toolgate.settings import Caller
from toolgate.stores import open_stores

OURS = "the-integrations-own-credential-canary"
PHRASE = "what-a-person-typed-canary"
SHAPED = "ghp_CanaryCanaryCanaryCanaryCanary12"


class Gossip(Things):
    """An API that repeats the credential that it was shown to everybody, in its complaints too."""

    def said(self, note: str) -> bytes:
        heard = self.requests[-1].decode()
        return http(
            201 if note == "good" else 422, {"added": note, "message": f"I was shown {OURS}", "heard": heard.partition("\r\n\r\n")[0]}
        )


async def test_no_secret_is_in_any_place_where_it_has_no_business(tmp_path: Path) -> None:
    state = tmp_path / "state"
    async with Gossip().listening() as things:
        auth = {"type": "bearer", "token": "${THINGS_TOKEN}"}
        lay_out(tmp_path, things, integration={"auth": auth}, anonymous=None)
        async with open_stores("sqlite", state) as stores:
            _, key = await Keys(stores.records).create("ada", Caller(roles=("caller",), tier="open"))
        async with served(tmp_path, THINGS_TOKEN=OURS) as server:
            shown = {"authorization": f"Bearer {key}"}
            answers = [
                await server.add("good", key=key, pass_phrase=PHRASE),
                await server.add(f"bad {SHAPED}", key=key, pass_phrase=PHRASE),
                await server.add_by_mcp({"note": "good", "pass_phrase": PHRASE}, 1, **shown),
                await server.add_by_mcp({"note": f"bad {SHAPED}", "pass_phrase": PHRASE}, 1, **shown),
                await server.add("wrong", key=key, pass_phrase=[PHRASE]),
                await server.add("unknown", key=key, **{SHAPED: PHRASE}),
                await server.post(f"/v1/tools/{SHAPED}/call", {"arguments": {"pass_phrase": PHRASE}}, **shown),
                await server.post("/v1/tools/things_add/call", b'{"arguments": {"pass_phrase": "%b", }}' % PHRASE.encode(), **shown),
                await server.add("good", key=key[:-1]),
                await server.add("good"),
            ]
            server.process.terminate()
            assert await server.ended() == 0
        said = server.said.read_bytes()
    kept = b"".join(file.read_bytes() for file in state.rglob("*") if file.is_file())
    told = Told(state)

    assert [answer.status for answer in answers] == [200, 502, 200, 200, 400, 400, 404, 400, 401, 401]
    secret = key.split("_")[2].encode()
    for one in (secret, OURS.encode(), PHRASE.encode(), SHAPED.encode()):
        assert one not in kept
        assert one not in said
    everything_answered = "".join(answer.text + str(answer.headers) for answer in answers)
    assert secret.decode() not in everything_answered
    assert OURS not in everything_answered
    assert PHRASE not in everything_answered  # nobody repeats it to whoever sent it, either
    sent = b"".join(things.requests)
    assert secret not in sent
    assert sent.count(OURS.encode()) == len(things.requests) == 4
    assert sent.count(PHRASE.encode()) == 4
    values = [event["arguments"]["values"] for event in told.events if event["type"] == "call.intent"]
    assert [value["pass_phrase"] for value in values] == ["[redacted]"] * 4


FACES = ("http", "mcp")
KINDS = {"tea": "plain", "té": "accented", "a\tb": "tab", "\U0001f375": "cup", 'q"\\': "quoted", "": "empty", "<\u2028>": "lines"}


def when(field: str, value: Any) -> dict[str, Any]:
    return {"field": field, "operator": "equals", "value": value}


UNLUCKY_SIZE: Any = {
    "id": "size.13",
    "tools": "*",
    "effect": "deny",
    "operations": ["call"],
    "conditions": [when("args.size", 13), {"field": "args.size", "operator": "exists"}],
}
RULES = [*({"id": f"note.{kind}", "tools": "*", "conditions": [when("args.note", note)]} for note, kind in KINDS.items()), UNLUCKY_SIZE]
"""A rule for each text, so that the one that let a call through says what the policy saw."""
SPELLINGS = [
    ('{"note": "tea"}', "plain"),
    ('{"note": "\\u0074\\u0065\\u0061"}', "plain"),
    ('{ "note" :\n\t"t\\u0065a" }', "plain"),
    ('{"note": "té"}', "accented"),
    ('{"note": "t\\u00e9"}', "accented"),
    ('{"note": "a\\tb"}', "tab"),
    ('{"note": "a\\u0009b"}', "tab"),
    ('{"note": "\\ud83c\\udf75"}', "cup"),
    ('{"note": "\U0001f375"}', "cup"),
    ('{"note": "q\\"\\\\"}', "quoted"),
    ('{"note": "\\u0071\\u0022\\u005c"}', "quoted"),
    ('{"note": ""}', "empty"),
    ('{"note": "<\\u2028>"}', "lines"),
    ('{"size": 12, "note": "tea"}', "plain"),
    ('{"size": 12.0, "note": "tea"}', "plain"),
    ('{"size": 1.2e1, "note": "tea"}', "plain"),
]
UNLUCKY = ["13", "13.0", "1.3e1", "130e-1"]
"""Spellings of a number that a rule forbids."""


async def call_by(server: Server, face: str, arguments: str, **headers: str) -> Answer:
    """The call, with its arguments in exactly these bytes."""
    if face == "http":
        return await server.post("/v1/tools/things_add/call", f'{{"arguments": {arguments}}}'.encode(), **headers)
    params = f'{{"name": "things_add", "arguments": {arguments}, "_meta": {json.dumps(ENVELOPE)}}}'
    return await server.post(
        "/mcp", f'{{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {params}}}'.encode(), **(MODERN | headers)
    )


async def test_however_arguments_are_spelled_policy_audit_and_upstream_see_the_same(tmp_path: Path) -> None:
    async with Things().listening() as things:
        lay_out(tmp_path, things, role={"role": "caller", "permissions": RULES}, limits={"repeats": {"calls": None}})
        async with served(tmp_path) as server:
            for face in FACES:
                for spelling, _ in SPELLINGS:
                    assert (await call_by(server, face, spelling)).status == 200, spelling
                for size in UNLUCKY:
                    await call_by(server, face, f'{{"note": "tea", "size": {size}}}')
    events = Told(tmp_path / "state").events

    intents = [event for event in events if event["type"] == "call.intent"]
    sent = [json.loads(request.partition(b"\r\n\r\n")[2]) for request in things.requests]
    meant = [json.loads(spelling) for spelling, _ in SPELLINGS] * len(FACES)
    assert sent == [intent["arguments"]["values"] for intent in intents] == meant
    assert [json.dumps(one) for one in sent] == [json.dumps(intent["arguments"]["values"]) for intent in intents]  # 12 is not 12.0 here
    assert [intent["decision"]["rule"] for intent in intents] == [f"note.{kind}" for _, kind in SPELLINGS] * len(FACES)
    assert [event["decision"]["rule"] for event in events if event["type"] == "call.denied"] == ["size.13"] * len(UNLUCKY) * len(FACES)


AMBIGUOUS = [
    '{"note": "tea", "note": "evil"}',
    '{"note": "tea", "\\u006eote": "evil"}',
    '{"note": "tea", "Note": "evil"}',
    '{"note": "tea", "size": NaN}',
    '{"note": "tea", "size": Infinity}',
    '{"note": "tea", "size": 1e400}',
    '{"note": "tea", "size": "12"}',
    '{"note": "tea", "size": true}',
    '{"note": "tea", "size": 12.5}',
    '{"note": "tea", "size": [12]}',
    '{"note": ["tea"]}',
    '{"note": null}',
    '{"note": "tea", "extra": 1}',
    '{"note": "\\ud83c"}',
    '{"note": "tea", "size": ' + "[" * 100 + "]" * 100 + "}",
    "[]",
    '"tea"',
]


async def endless() -> AsyncIterator[bytes]:
    """A chunked body, without a length, that does not come to an end before it is cut off."""
    yield b'{"arguments": {"note": "'
    for _ in range(200):
        yield b"x" * 65536


async def test_what_could_be_read_in_two_ways_is_nobodys_call(tmp_path: Path) -> None:
    async with Things().listening() as things:
        lay_out(tmp_path, things)
        async with served(tmp_path) as server:
            answers = {(face, body[:60]): await call_by(server, face, body) for face in FACES for body in AMBIGUOUS}
            batch = [
                {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "things_add", "arguments": {"note": "tea"}}}
            ] * 2
            others = [
                await server.post("/mcp", batch, accept="application/json, text/event-stream"),
                await server.post("/v1/tools/things_add/call", b'\xef\xbb\xbf{"arguments": {"note": "tea"}}'),
                await server.post("/v1/tools/things_add/call", '{"arguments": {"note": "tea"}}'.encode("utf-16")),
                await call_by(server, "mcp", '{"note": "tea"}', **{"mcp-name": "another_tool"}),
                await call_by(server, "mcp", '{"note": "tea"}', **{"mcp-method": "tools/list"}),
            ]
            for face in FACES:
                with gone_is_fine():  # it may be cut off before the answer is read
                    others.append(await call_by(server, face, '{"note": "' + "x" * 5 * 1024 * 1024 + '"}'))
                with gone_is_fine():
                    others.append(await server.post({"http": "/v1/tools/things_add/call", "mcp": "/mcp"}[face], endless()))
            assert (await server.add("tea")).status == 200  # the server lives
    told = Told(tmp_path / "state")

    assert {
        what: answer.status for what, answer in answers.items() if not (400 <= answer.status < 500 or '"isError":true' in answer.text)
    } == {}
    assert [answer.status for answer in others if not 400 <= answer.status < 500] == []
    assert things.added == told.intents == told.outcomes == ["tea"]


FORGED = [
    "a\nb",
    "a\r\n2026-11-20 admin let in",
    "\x1b[2J\x1b]0;owned\x07",
    '"},{"type":"call.outcome"',
    "\u2028\u2029\x85",
    "\u202eevil",
    "\x00",
]


async def test_nothing_that_a_caller_sends_makes_two_events_of_one_or_steers_a_terminal(tmp_path: Path) -> None:
    async with Things().listening() as things:
        lay_out(tmp_path, things, role=CALLER)
        async with served(tmp_path) as server:
            for text in FORGED:
                await server.add(text)
                await server.post(f"/v1/tools/{quote(text, safe='')}/call", {})
    events = Told(tmp_path / "state").events
    said = (tmp_path / "stderr").read_text()

    assert things.added == FORGED
    assert [event["arguments"]["values"]["note"] for event in events if event["type"] == "call.intent"] == FORGED
    assert len([event for event in events if event["type"] == "call.denied"]) == len(FORGED)
    assert not {character for character in said if ord(character) < 32} - {"\n"}
