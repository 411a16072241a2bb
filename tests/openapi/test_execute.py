from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request as Asked
from starlette.responses import JSONResponse
from starlette.routing import Route

from toolgate.calls import UNSET, Annotations, Call, Principal, Text, Tool
from toolgate.egress.application import Application
from toolgate.egress.transport import Transport, open_transport
from toolgate.egress.wire import Reach, Request, Response, Sender
from toolgate.errors import InvalidArguments, Misconfigured, ToolgateError, Unreachable
from toolgate.integration import Integration
from toolgate.money import Price
from toolgate.openapi.definition import Definition, plain
from toolgate.openapi.execute import MAX_FILE, Executor, files_below, home_of, reach_of, server_of
from toolgate.openapi.operation import BodyPlan, ParameterPlan, Plan, ServerTemplate
from toolgate.openapi.own import credentials_for
from toolgate.testing import ScriptedSender, a_call, a_principal, a_tool, raw_server

CANARY = "canary-secret-0123456789"
FINE = Response(200, (("Content-Type", "application/json"),), b'{"ok":true}')
ITEM = Plan("GET", "/items/{id}", parameters=(ParameterPlan("id", "path", "id"), ParameterPlan("q", "query", "q", style="form")))
UPLOAD = Plan("POST", "/files", bodies=(BodyPlan("application/octet-stream", "whole", argument="file", binary=True),))


def integration(**more: Any) -> Integration:
    return Integration.model_validate({"name": "api", "base_url": "https://api.example/v1", **more})


def executor(sender: Sender, plan: Plan = ITEM, uploads: Path | None = None, **more: Any) -> Executor:
    declared = integration(**more)
    definition = Definition("x", "", {}, {}, Annotations(), f"{plan.method} {plan.path}", plain(plan))
    return Executor(definition, declared, lambda: home_of([plan], declared), sender, credentials_for(declared, sender), uploads)


def servers(*urls: str, **variables: str) -> tuple[ServerTemplate, ...]:
    return tuple(ServerTemplate(url, variables) for url in urls)


# Which server


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        # the operator's word stands, whatever the description says
        ({"base_url": "https://api.example/v1"}, "https://api.example/v1"),
        ({"base_url": "HTTPS://API.Example:443/V1/"}, "https://api.example/V1/"),
        ({"base_url": "https://bücher.example"}, "https://xn--bcher-kva.example"),
        # without it the description's first usable server, relative ones to where the description was fetched
        ({"base_url": None}, "https://api.sam.gov/"),
        ({"base_url": None, "spec": "https://docs.example/a/openapi.json"}, "https://docs.example/relative"),
        ({"base_url": None, "spec": "openapi.json"}, "https://api.sam.gov/"),
        ({"base_url": None, "asgi": "internal"}, "http://api"),
    ],
)
def test_the_server_is_the_operators_or_else_the_descriptions(declared: dict[str, Any], expected: str) -> None:
    plan = Plan("GET", "/x", servers=servers("/relative", "{broken}", "//api.sam.gov/", "https://second.example"))

    assert server_of(plan, integration(**declared)) == expected


@pytest.mark.parametrize(
    ("own", "further", "expected"),
    [
        (servers("https://uploads.example/up"), ["https://uploads.example"], "https://uploads.example/up"),
        (servers("https://uploads.example/up"), [], "https://api.example/v1"),
        (servers("http://uploads.example/up"), ["https://uploads.example"], "https://api.example/v1"),
        (servers("https://evil.example", "https://uploads.example"), ["https://uploads.example"], "https://uploads.example"),
        (servers("https://api.example/v2"), [], "https://api.example/v2"),
        (servers("/v3"), [], "https://api.example/v3"),
        (servers("//api.example/v4"), [], "https://api.example/v4"),
        (servers("https://{host}.example/{base}", host="uploads", base="b"), ["https://uploads.example"], "https://uploads.example/b"),
        (servers("https://{host}.example"), ["https://uploads.example"], "https://api.example/v1"),
    ],
)
def test_an_operations_own_server_is_used_when_the_operator_allows_its_origin(
    own: tuple[ServerTemplate, ...], further: list[str], expected: str
) -> None:
    assert server_of(Plan("POST", "/x", servers=own, servers_own=True), integration(servers=further)) == expected


def test_without_any_complete_server_the_operator_is_asked_for_one() -> None:
    with pytest.raises(Misconfigured) as refused:
        server_of(Plan("GET", "/x", servers=servers("/v1", "{host}", "ftp://files.example")), integration(base_url=None))

    assert str(refused.value) == "api: GET /x has no server with a complete URL; give a base_url"


@pytest.mark.parametrize(
    ("declared", "key"), [({"base_url": "api.example"}, "base_url"), ({"servers": ["https://u:p@api.example"]}, "servers")]
)
def test_a_server_of_the_operators_that_cannot_be_meant_is_named(declared: dict[str, Any], key: str) -> None:
    with pytest.raises(Misconfigured, match=rf"^api: {key} does not work: only http\(s\)"):
        server_of(ITEM, integration(**declared))


def test_requests_reach_their_server_and_the_operators_further_ones() -> None:
    declared = integration(servers=["https://uploads.example/x"], allow_networks=["10.0.0.0/8"])

    assert reach_of("https://api.example/v1", declared) == Reach(
        frozenset({"https://api.example:443", "https://uploads.example:443"}), (ip_network("10.0.0.0/8"),)
    )


# The call


async def test_a_call_becomes_a_request_and_its_answer_an_outcome() -> None:
    sender = ScriptedSender(FINE)
    run = executor(sender, headers={"X-Version": "3", "X-Absent": None}, auth={"type": "bearer", "token": CANARY})

    outcome = await run(a_call(arguments={"id": "a;b", "q": "ü"}))

    assert sender.sent == [
        Request("GET", "https://api.example/v1/items/a%3Bb?q=%C3%BC", (("X-Version", "3"), ("Authorization", f"Bearer {CANARY}")))
    ]
    assert sender.reaches == [Reach(frozenset({"https://api.example:443"}))]
    assert (outcome.structured, outcome.content, outcome.meta) == ({"ok": True}, (Text('{"ok":true}'),), {"status": 200})


async def test_what_the_other_side_repeats_of_a_secret_does_not_come_back() -> None:
    said = orjson.dumps({"token": CANARY, "static": "static-secret", "self": f"https://api.example/?key={CANARY}&token=hidden-secret"})
    run = executor(
        ScriptedSender(Response(403, (("Content-Type", "application/json"),), said)),
        headers={"X-Secret": "static-secret"},
        auth={"type": "bearer", "token": CANARY},
        hide=[{"name": "token", "value": "hidden-secret"}],
    )

    outcome = await run(a_call(arguments={"id": "1"}))

    assert outcome.problem is not None
    assert CANARY not in repr(outcome)
    assert "static-secret" not in repr(outcome)
    assert "hidden-secret" not in repr(outcome)
    assert "REDACTED" in repr(outcome)


async def test_a_link_to_the_next_page_that_repeats_a_query_credential_still_gives_the_next_arguments() -> None:
    linked = Response(200, (*FINE.headers, ("Link", f'<https://api.example/v1/items/1?q=b&key={CANARY}>; rel="next"')), FINE.body)
    run = executor(ScriptedSender(linked), auth={"type": "api_key", "in": "query", "name": "key", "value": CANARY})

    outcome = await run(a_call(arguments={"id": "1", "q": "a"}))

    assert outcome.meta["next"] == {"id": "1", "q": "b"}
    assert CANARY not in repr(outcome)


async def test_a_token_that_was_taken_back_is_renewed_and_the_request_goes_out_again() -> None:
    auth = {"type": "oauth2_client_credentials", "token_url": "https://id.example/token", "client_id": "c", "client_secret": CANARY}
    first, second = (Response(200, (), b'{"access_token":"%s","token_type":"bearer"}' % token) for token in (b"one", b"two"))
    sender = ScriptedSender([first, Response(401), second, FINE])

    outcome = await executor(sender, auth=auth)(a_call(arguments={"id": "1"}))

    assert outcome.ok
    assert [dict(request.headers).get("Authorization") for request in sender.sent[1::2]] == ["Bearer one", "Bearer two"]


async def test_a_401_with_a_fixed_credential_is_the_answer() -> None:
    sender = ScriptedSender([Response(401, (), b"no")])

    outcome = await executor(sender, auth={"type": "bearer", "token": CANARY})(a_call(arguments={"id": "1"}))

    assert outcome.problem is not None
    assert len(sender.sent) == 1


async def test_arguments_that_have_no_place_on_the_wire_are_refused_before_anything_is_sent() -> None:
    sender = ScriptedSender(FINE)

    with pytest.raises(InvalidArguments) as refused:
        await executor(sender)(a_call(arguments={"id": ".."}))

    assert sender.sent == []
    assert "GET /items/{id} cannot take 'id'" in str(refused.value)


async def test_a_failure_to_send_is_let_through() -> None:
    with pytest.raises(Unreachable):
        await executor(ScriptedSender([Unreachable("nobody there")]))(a_call(arguments={"id": "1"}))


# Beside the arguments: the name of the call, and how long its answer is good

ORDER = Plan("POST", "/orders", idempotency_header="Idempotency-Key")


def sent_keys(sender: ScriptedSender) -> list[str | None]:
    return [dict(request.headers).get("Idempotency-Key") for request in sender.sent]


async def test_the_other_side_hears_one_name_for_one_key_of_one_caller_and_never_the_key_itself() -> None:
    sender, tool = ScriptedSender(FINE), a_tool(name="order")
    run = executor(sender, ORDER)
    ada, bob = a_principal(id="ada"), a_principal(id="bob")

    for principal, key in ((ada, "k1"), (ada, "k1"), (ada, "k2"), (bob, "k1")):
        await run(a_call(tool, {}, principal, idempotency_key=key))

    first, again, other, bobs = sent_keys(sender)
    assert first == again
    assert len({first, other, bobs}) == 3
    assert all(UUID(str(name)).version == 5 for name in (first, other, bobs))


async def test_without_a_key_each_call_has_a_name_of_its_own_that_stays_when_it_is_sent_again() -> None:
    sender, call = ScriptedSender(FINE), a_call()
    run = executor(sender, ORDER)

    for one in (call, call, a_call()):
        await run(one)

    first, again, other = sent_keys(sender)
    assert first == again != other


async def test_the_operators_header_of_that_name_stands() -> None:
    sender = ScriptedSender(FINE)

    await executor(sender, ORDER, headers={"idempotency-key": "fixed"})(a_call())

    [request] = sender.sent
    assert request.headers == (("idempotency-key", "fixed"),)


async def test_a_preview_shows_the_name_too() -> None:
    request = executor(ScriptedSender([]), ORDER).preview(a_call())

    assert [name for name, _ in request.headers] == ["Idempotency-Key"]


@pytest.mark.parametrize(
    ("tool", "fresh"),
    [(a_tool(), None), (a_tool(cache=60.0), 5.0), (a_tool(cache=60.0, public=True), 0.0)],
)
async def test_an_answer_that_may_be_kept_says_how_long_it_is_good(tool: Tool, fresh: float | None) -> None:
    said = Response(200, (*FINE.headers, ("Cache-Control", "private, max-age=5")), FINE.body)

    outcome = await executor(ScriptedSender(said))(a_call(tool, {"id": "1"}))

    assert outcome.fresh == fresh


# The preview


async def test_a_preview_is_the_request_with_its_secrets_masked() -> None:
    plan = Plan(
        "POST",
        "/items",
        parameters=(
            ParameterPlan("api_key", "query", None, style="form", constant=CANARY),
            ParameterPlan("lang", "query", None, style="form", constant="en"),
        ),
        bodies=(BodyPlan("application/json", "whole", argument="body"),),
    )
    sender = ScriptedSender([])
    run = executor(
        sender,
        plan,
        headers={"X-Token": CANARY, "X-Version": "3"},
        auth={"type": "api_key", "in": "query", "name": "token", "value": CANARY},
    )

    assert run.preview(a_call(arguments={"body": {"a": 1}})) == Request(
        "POST",
        "https://api.example/v1/items?api_key=REDACTED&lang=en&token=REDACTED",
        (("X-Token", "REDACTED"), ("X-Version", "3"), ("Content-Type", "application/json")),
        b'{"a":1}',
    )
    assert sender.sent == []
    assert CANARY not in repr(run) + repr(run.definition.plan) + repr(run.integration)


async def test_a_preview_masks_constants_of_the_body_by_their_names() -> None:
    body = BodyPlan("application/json", "flat", constants={"password": CANARY, "lang": "en"})

    shown = executor(ScriptedSender([]), Plan("POST", "/login", bodies=(body,))).preview(a_call(arguments={}))

    assert orjson.loads(shown.body or b"") == {"password": "REDACTED", "lang": "en"}


# Files by path


@pytest.fixture
def uploads(tmp_path: Path) -> Path:
    folder = tmp_path / "uploads"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.bin").write_bytes(b"\0bytes")
    (tmp_path / "secret.txt").write_text("outside")
    (tmp_path / "uploads-not").mkdir()
    (tmp_path / "uploads-not" / "b.txt").write_text("outside")
    (folder / "link").symlink_to(tmp_path / "secret.txt")
    (folder / "inner").symlink_to(folder / "deep" / "a.bin")
    return folder


def named(path: str, via: Any) -> Call:
    return a_call(arguments={"file": {"path": path}}, principal=Principal(id="someone", via=via))


@pytest.mark.parametrize("via", ["stdio", "terminal"])
@pytest.mark.parametrize("path", ["deep/a.bin", "deep/../deep/a.bin", "inner"])
async def test_a_caller_on_this_machine_may_send_a_file_of_the_upload_folder(uploads: Path, via: str, path: str) -> None:
    sender = ScriptedSender(FINE)

    await executor(sender, UPLOAD, uploads)(named(path, via))

    assert sender.sent[0].body == b"\0bytes"


@pytest.mark.parametrize("via", ["loopback", "key", "token"])
async def test_nobody_else_may_name_files(uploads: Path, via: str) -> None:
    sender = ScriptedSender(FINE)

    with pytest.raises(InvalidArguments, match="callers on this machine"):
        await executor(sender, UPLOAD, uploads)(named("deep/a.bin", via))

    assert sender.sent == []


async def test_without_an_upload_folder_nobody_may_name_files() -> None:
    with pytest.raises(InvalidArguments, match="callers on this machine"):
        await executor(ScriptedSender(FINE), UPLOAD)(named("deep/a.bin", "terminal"))


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("../secret.txt", "must be a file below the upload folder"),
        ("link", "must be a file below the upload folder"),
        ("../uploads-not/b.txt", "must be a file below the upload folder"),
        ("deep/../../secret.txt", "must be a file below the upload folder"),
        ("/etc/passwd", "must be a file below the upload folder"),
        ("~/x", "must be a file below the upload folder"),
        ("deep", "must be a file below the upload folder"),
        ("", "must be a file below the upload folder"),
        ("missing", "must be a file below the upload folder"),
        ("deep/a.bin/x", "must be a file below the upload folder"),
        ("nul\0", "cannot be read"),
    ],
)
def test_only_files_really_below_the_folder_are_read(uploads: Path, path: str, why: str) -> None:
    with pytest.raises(InvalidArguments) as refused:
        files_below(uploads)(path)

    assert str(refused.value) == f"the file to send {why}"


def test_an_absolute_path_below_the_folder_is_fine(uploads: Path) -> None:
    assert files_below(uploads)(str(uploads / "deep" / "a.bin")) == b"\0bytes"


def test_a_file_is_read_up_to_the_cap_and_not_beyond(uploads: Path) -> None:
    with (uploads / "large").open("wb") as file:
        file.truncate(MAX_FILE)
    assert len(files_below(uploads)("large")) == MAX_FILE

    with (uploads / "large").open("wb") as file:
        file.truncate(MAX_FILE + 1)
    with pytest.raises(InvalidArguments, match="has more than 10485760 bytes"):
        files_below(uploads)("large")


# End to end


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    async with open_transport() as opened:
        yield opened


async def test_a_call_reaches_a_real_server_byte_for_byte(transport: Transport) -> None:
    answer = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"ok":true}'
    async with raw_server(answer) as server:
        run = executor(
            transport,
            base_url=f"{server.origin}/v1/",
            allow_networks=["127.0.0.0/8"],
            auth={"type": "api_key", "in": "query", "name": "key", "value": CANARY},
        )

        outcome = await run(a_call(arguments={"id": "a b..c", "q": "x y&z"}))

        assert outcome.structured == {"ok": True}
        assert server.seen[0].split(b"\r\n")[0] == f"GET /v1/items/a%20b..c?q=x%20y%26z&key={CANARY} HTTP/1.1".encode()


@pytest.mark.parametrize(
    "answer",
    [b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n\r\nx"],
)
async def test_no_failure_says_a_secret(transport: Transport, answer: bytes) -> None:
    async with raw_server(answer) as server:
        for auth in (
            {"type": "api_key", "in": "query", "name": "key", "value": CANARY},
            {"type": "bearer", "token": CANARY},
            {"type": "bearer", "token": CANARY + "\r\nX: y"},
        ):
            run = executor(transport, base_url=server.origin, allow_networks=["127.0.0.0/8"], auth=auth)
            with pytest.raises(ToolgateError) as failed:
                await run(a_call(arguments={"id": CANARY}))

            chain: list[BaseException | None] = [failed.value, failed.value.__cause__]
            assert all(CANARY not in repr(error) + str(error) for error in chain)


async def test_an_application_in_this_process_is_called_through_the_same_executor() -> None:
    async def item(request: Asked) -> JSONResponse:
        return JSONResponse({"id": request.path_params["id"], "for": request.state.call.principal.id, "depth": request.state.call.depth})

    app = Application(Starlette(routes=[Route("/items/{id}", item)]))

    outcome = await executor(app, base_url=None, asgi="internal")(
        a_call(arguments={"id": "7"}, principal=a_principal(id="local:eve"), depth=1)
    )

    assert outcome.structured == {"id": "7", "for": "local:eve", "depth": 1}


async def test_a_tool_of_ours_reads_its_answer_whole_where_a_model_is_shown_a_part() -> None:
    long = Response(200, (("Content-Type", "application/json"),), orjson.dumps(["x" * 1000] * 100))
    run = executor(ScriptedSender(long))

    outer, inner = await run(a_call(arguments={"id": "1"})), await run(a_call(arguments={"id": "1"}, depth=1))

    assert (outer.structured, inner.structured) == (UNSET, ["x" * 1000] * 100)


@pytest.mark.parametrize(("header", "metered"), [("0.0125", 12_500), ("0", 0), ("plenty", None), (None, None)])
async def test_what_the_answer_says_it_has_cost_is_the_outcomes_to_tell(header: str | None, metered: int | None) -> None:
    answered = replace(FINE, headers=(*FINE.headers, ("x-request-cost", header)) if header is not None else FINE.headers)
    run = executor(ScriptedSender(answered))
    arguments: dict[str, Any] = {"id": "7"}

    priced = await run(a_call(a_tool(run, price=Price(header="X-Request-Cost", most=20_000)), arguments))
    flat = await run(a_call(a_tool(run, price=Price(5)), arguments))

    assert (priced.metered, flat.metered) == (metered, None)
