from __future__ import annotations

import base64
import gzip
import io
import json
import shlex
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Terminal = Callable[..., Any]
PICTURE = b"\x89PNG\r\n\x1a\n\x00not really"


def declare(folder: Path, **values: Any) -> None:
    declaration = json.loads((folder / "integration.yaml").read_text()) | values
    (folder / "integration.yaml").write_text(json.dumps(declaration))


def test_a_list_is_one_line_a_tool_and_as_json_one_object_a_tool(terminal: Terminal, shop: Path) -> None:
    plain, as_json = terminal("tools", "list"), terminal("tools", "list", "--json")

    assert plain.out.splitlines() == [
        "shop_add_item\tdestroys\tPut an item on sale.",
        "shop_answer_with\treads\tAnswer with any status.",
        "shop_get_picture\treads\tThe shop's front.",
        "shop_list_items\treads\tList the items on sale.",
    ]
    assert as_json.value[3] == {
        "name": "shop_list_items",
        "description": "List the items on sale.",
        "effect": "reads",
        "integration": "shop",
        "listed": True,
        "tags": [],
    }


def test_search_finds_by_words_best_first(terminal: Terminal, shop: Path) -> None:
    ran = terminal("tools", "search", "list", "the", "items", "--limit", "1", "--json")

    assert [tool["name"] for tool in ran.value] == ["shop_list_items"]


def test_the_call_that_show_prints_can_be_made(terminal: Terminal, shop: Path) -> None:
    shown = terminal("tools", "show", "shop_list_items")
    program, *words = shlex.split(shown.out.splitlines()[-1])

    called = terminal(*words)

    assert program == "toolgate"
    assert "kind*\ttea|cup\t" in shown.out.splitlines()
    assert (called.code, called.value) == (0, {"query": "kind=tea"})


def test_words_reach_the_other_side_as_the_schema_wants_them(terminal: Terminal, shop: Path) -> None:
    ran = terminal("tools", "call", "shop_list_items", "kind=cup", "limit=7", "tags=a b", "tags=c", "--json")

    assert ran.code == 0
    assert ran.value["result"] == {"query": "kind=cup&limit=7&tags=a%20b&tags=c"}
    assert ran.value["files"] == []


@pytest.mark.parametrize("whole", ["@arguments.json", '{"kind": "cup", "limit": 7}'])
def test_arguments_come_whole_with_words_laid_over_them(terminal: Terminal, shop: Path, whole: str) -> None:
    Path("arguments.json").write_text('{"kind": "cup", "limit": 7}')

    ran = terminal("tools", "call", "shop_list_items", "--args", whole, "limit=8")

    assert ran.value == {"query": "kind=cup&limit=8"}


def test_arguments_come_from_stdin(terminal: Terminal, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"kind": "cup"}')))

    ran = terminal("tools", "call", "shop_list_items", "--args", "-")

    assert ran.value == {"query": "kind=cup"}


def test_the_next_page_is_a_command_to_copy(terminal: Terminal, shop: Path) -> None:
    first = terminal("tools", "call", "shop_list_items", "kind=tea", "limit=1")
    last_line = first.err.splitlines()[-1]

    second = terminal(*shlex.split(last_line.removeprefix("next: toolgate ")))

    assert last_line == "next: toolgate tools call shop_list_items kind=tea limit=2"
    assert (second.value, second.err) == ({"query": "kind=tea&limit=2"}, "")


def test_a_dry_run_shows_the_request_without_its_secrets_and_sends_nothing(
    terminal: Terminal, shop: Path, shop_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "s3cret")
    declare(shop, base_url="https://shop.invalid", auth={"type": "bearer", "token": "${SHOP_TOKEN}"})

    plain = terminal("tools", "call", "shop_add_item", "name=Pot", "--dry-run")
    as_json = terminal("tools", "call", "shop_add_item", "name=Pot", "--dry-run", "--json")

    assert plain.out.splitlines()[0] == "POST https://shop.invalid/items"
    assert plain.out.splitlines()[-1] == '{"name":"Pot"}'
    assert (as_json.value["method"], as_json.value["url"], as_json.value["body"]) == (
        "POST",
        "https://shop.invalid/items",
        '{"name":"Pot"}',
    )
    assert "Authorization" in dict(as_json.value["headers"])
    assert "s3cret" not in plain.out + plain.err + as_json.out + as_json.err
    assert terminal("audit", "list", "--json", "--type", "call.*").value == []


def test_a_dry_run_refuses_what_a_call_would_be_refused_for(terminal: Terminal, shop: Path) -> None:
    ran = terminal("tools", "call", "shop_list_items", "limit=51", "--dry-run", "--json")

    assert (ran.code, ran.out, ran.error["code"]) == (1, "", "invalid_arguments")


def test_a_picture_goes_into_a_pipe_a_file_or_json(terminal: Terminal, shop: Path) -> None:
    to_pipe = terminal("tools", "call", "shop_get_picture")
    to_file = terminal("tools", "call", "shop_get_picture", "--output", "front.png", "--json")
    as_json = terminal("tools", "call", "shop_get_picture", "--json")

    assert to_pipe.out.encode(errors="surrogateescape") == PICTURE
    assert Path("front.png").read_bytes() == PICTURE
    assert to_file.value["written"] == ["front.png"]
    assert base64.b64decode(as_json.value["files"][0]["data"]) == PICTURE
    assert as_json.value["files"][0]["media_type"] == "image/png"


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.mark.parametrize(
    ("words", "changed", "code", "exit_code", "hint"),
    [
        (["shop_list_item", "kind=tea"], {}, "unknown_tool", 1, "did you mean shop_list_items"),
        (["shop_list_items"], {}, "invalid_arguments", 1, "shop_list_items takes kind: tea|cup, limit?: integer, tags?: string[]"),
        (["shop_list_items", "knd=tea"], {}, "invalid_arguments", 1, "shop_list_items takes kind: tea|cup"),
        (["shop_list_items", "kind=tea", "limit=51"], {}, "invalid_arguments", 1, "shop_list_items takes kind: tea|cup"),
        (["shop_list_items", "--args", "[1]"], {}, "usage", 1, None),
        (["shop_list_items", "--args", "@missing.json"], {}, "usage", 1, None),
        (["shop_answer_with", "status=401"], {}, "upstream_failed", 3, "`toolgate doctor` says whether the credentials of shop are set"),
        (["shop_list_items", "kind=tea"], {"base_url": "http://127.0.0.1:{closed}"}, "unreachable", 4, "may be repeated"),
        (["shop_answer_with", "status=500"], {}, "upstream_failed", 5, None),
        (["shop_add_item", "name=Pot"], {}, "approval_needed", 6, "toolgate approvals list"),
        (["shop_list_items", "kind=tea"], {"allow_networks": []}, "egress_blocked", 6, "allow_networks"),
        (["shop_answer_with", "status=429"], {}, "upstream_failed", 7, None),
    ],
)
def test_a_call_that_goes_wrong_ends_with_its_code_and_a_hint(
    terminal: Terminal, shop: Path, words: list[str], changed: dict[str, Any], code: str, exit_code: int, hint: str | None
) -> None:
    declare(shop, **{key: value.format(closed=closed_port()) if isinstance(value, str) else value for key, value in changed.items()})

    ran = terminal("tools", "call", *words, "--json")

    assert (ran.error["code"], ran.code, ran.out) == (code, exit_code, "")
    assert (ran.error["hint"] is None) if hint is None else (hint in ran.error["hint"])


def test_with_the_same_key_a_call_happens_once(terminal: Terminal, shop: Path) -> None:
    (shop / "../../toolgate.yaml").write_text('{"tool_specs": ["specs"], "stdio": {"roles": ["admin"]}}')
    order = ("tools", "call", "shop_add_item", "name=Pot", "--json", "--idempotency-key")

    first, second, other = terminal(*order, "k"), terminal(*order, "k"), terminal(*order, "l")
    reused = terminal("tools", "call", "shop_add_item", "name=Cup", "--json", "--idempotency-key", "k")

    assert [ran.value["replayed"] for ran in (first, second, other)] == [False, True, False]
    assert first.value["result"] == second.value["result"] == {"added": {"name": "Pot"}}
    assert (reused.error["code"], reused.code) == ("key_reused", 1)
    assert terminal(*order, "").error["code"] == "invalid_arguments"


def test_calls_refused_or_not_are_in_the_audit_newest_first(terminal: Terminal, shop: Path) -> None:
    terminal("tools", "call", "shop_list_items", "kind=tea")
    terminal("tools", "call", "shop_add_item", "name=Pot")
    terminal("tools", "call", "no_such_tool")

    lines = terminal("audit", "list", "--json", "--type", "call.[!i]*").value
    refused = terminal("audit", "list", "--json", "--ending", "refused", "--tool", "shop_*").value
    newest = terminal("audit", "list", "--limit", "1", "--type", "call.*")

    assert [(line["tool"]["name"], line["result"]["ending"], line["result"]["code"]) for line in lines] == [
        ("no_such_tool", "refused", "unknown_tool"),
        ("shop_add_item", "refused", "approval_needed"),
        ("shop_list_items", "ok", None),
    ]
    assert {(line["principal"]["via"], line["principal"]["id"].partition(":")[0]) for line in lines} == {("terminal", "local")}
    assert refused == [lines[1]]
    assert newest.out.split("\t")[3:6] == ["no_such_tool", "refused", "unknown_tool"]


def test_before_any_call_the_audit_says_what_to_try(terminal: Terminal, shop: Path) -> None:
    ran = terminal("audit", "list")

    assert (ran.code, ran.out) == (0, "")
    assert ran.err == "nothing has happened yet; try `toolgate tools search WORDS`\n"


@pytest.mark.parametrize("what", ["list", "lint"])
def test_an_integration_that_is_misspelt_has_no_tools_that_are_fine(terminal: Terminal, shop: Path, what: str) -> None:
    ran = terminal("tools", what, "--integration", "shpo", "--json")

    assert (ran.code, ran.error["message"]) == (1, "no tool is of an integration called 'shpo'")
    assert "shop" in ran.error["hint"]


def test_lint_names_what_a_model_would_stumble_over(terminal: Terminal, shop: Path) -> None:
    ran = terminal("tools", "lint", "--json")

    assert ran.code == 0
    assert {
        "level": "warning",
        "tool": "shop_list_items",
        "code": "bare-arguments",
        "message": "nothing says what these mean: tags",
    } in ran.value


def test_how_well_tools_are_found_is_measured_on_questions_with_known_answers(terminal: Terminal) -> None:
    questions = {"tools": {"a": {"name": "list_items"}, "b": {"name": "get_user"}}, "queries": [["list the items", ["a"]]]}
    Path("one.json").write_text(json.dumps(questions))
    Path("two.json.gz").write_bytes(gzip.compress(json.dumps(questions | {"queries": [["zebra", ["a"]]]}).encode()))

    plain, as_json = (terminal("tools", "evaluate", "one.json", "two.json.gz", *more) for more in ((), ("--json",)))

    assert plain.out.splitlines() == [
        "one.json: 2 tools, 1 queries: R@1 100.0, R@5 100.0, R@10 100.0",
        "two.json.gz: 2 tools, 1 queries: R@1 0.0, R@5 0.0, R@10 0.0",
        "macro over 2 files: R@1 50.0, R@5 50.0, R@10 50.0",
    ]
    assert as_json.value["macro"] == {"recall_at_1": 50.0, "recall_at_5": 50.0, "recall_at_10": 50.0}
    assert as_json.value["files"][0]["queries"] == 1


def test_a_file_of_another_format_is_refused_by_name(terminal: Terminal) -> None:
    Path("other.json").write_text("[1, 2]")

    ran = terminal("tools", "evaluate", "other.json", "--json")

    assert (ran.code, ran.error["code"]) == (1, "bad_document")
    assert "other.json" in ran.error["message"]
