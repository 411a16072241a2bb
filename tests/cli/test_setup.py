from __future__ import annotations

import json
import shlex
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from tests.upstream.conftest import PLAIN

Terminal = Callable[..., Any]


def test_what_config_shows_is_a_settings_file_with_the_same_meaning(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "toolgate.yaml").write_text("server: {port: 9000}\ntool_specs: [mine]")
    monkeypatch.setenv("TOOLGATE_SERVER__PAGE_SIZE", "7")

    shown = terminal("config", "show")
    (tmp_path / "shown.yaml").write_text(shown.out)
    monkeypatch.delenv("TOOLGATE_SERVER__PAGE_SIZE")
    again = terminal("config", "show", "--config", "shown.yaml", "--json")

    values = yaml.safe_load(shown.out)
    assert (values["server"]["port"], values["server"]["page_size"], values["tool_specs"]) == (9000, 7, ["mine"])
    assert again.value == values


def test_the_schema_has_a_sentence_for_every_setting_and_takes_what_is_shown(terminal: Terminal) -> None:
    schema = terminal("config", "schema").value

    bare = [
        f"{title}.{name}"
        for title, section in {"Settings": schema, **schema["$defs"]}.items()
        for name, setting in section["properties"].items()
        if "description" not in setting and "$ref" not in setting
    ]
    assert bare == []
    assert jsonschema_rs.validator_for(schema).is_valid(terminal("config", "show", "--json").value)


def test_a_setting_nobody_knows_is_named_with_its_file(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "toolgate.yaml").write_text("sever: {port: 9000}")

    ran = terminal("config", "show", "--json")

    assert (ran.code, ran.error["code"]) == (1, "misconfigured")
    assert ran.error["message"] == "toolgate.yaml does not fit. sever: Extra inputs are not permitted"


STDIO = ("serve", "--stdio", "--config")


@pytest.mark.parametrize(
    ("client", "path"),
    [("claude-desktop", ("mcpServers", "toolgate")), ("vscode", ("servers", "toolgate")), ("cursor", ("mcpServers", "toolgate"))],
)
def test_a_client_is_told_how_to_start_this_very_program(terminal: Terminal, tmp_path: Path, client: str, path: tuple[str, str]) -> None:
    (tmp_path / "toolgate.yaml").write_text("")

    entry = json.loads(terminal("connect", client).out)[path[0]][path[1]]

    assert Path(entry["command"]).is_absolute()
    assert Path(entry["command"]).exists()
    assert tuple(entry["args"][-4:]) == (*STDIO, str(tmp_path / "toolgate.yaml"))


@pytest.mark.parametrize(
    ("client", "snippet"),
    [
        ("claude-desktop", "http://127.0.0.1:9000/mcp"),
        ("claude-code", "claude mcp add --transport http toolgate http://127.0.0.1:9000/mcp"),
        ("vscode", {"servers": {"toolgate": {"type": "http", "url": "http://127.0.0.1:9000/mcp"}}}),
        ("cursor", {"mcpServers": {"toolgate": {"url": "http://127.0.0.1:9000/mcp"}}}),
    ],
)
def test_a_client_is_told_the_address_of_a_running_server(terminal: Terminal, tmp_path: Path, client: str, snippet: Any) -> None:
    (tmp_path / "toolgate.yaml").write_text("server: {port: 9000}")

    told = terminal("connect", client, "--http", "--json").value["snippet"]

    assert (told if isinstance(snippet, str) else json.loads(told)) == snippet


def test_claude_code_is_told_in_its_own_command(terminal: Terminal) -> None:
    words = shlex.split(terminal("connect", "claude-code").out)

    assert words[:5] == ["claude", "mcp", "add", "toolgate", "--"]
    assert Path(words[5]).exists()
    assert words[-2:] == ["serve", "--stdio"]


def findings(ran: Any) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {}
    for finding in ran.value:
        told.setdefault(finding["what"], []).append(finding["level"])
    return told


def test_the_doctor_finds_nothing_broken_in_a_sound_setup(terminal: Terminal, shop: Path) -> None:
    (shop.parents[1] / "toolgate.yaml").write_text('{"tool_specs": ["specs"], "server": {"port": 0}}')

    ran = terminal("doctor", "--json")

    assert ran.code == 0
    assert findings(ran) == {what: ["ok"] for what in ("program", "settings", "policies", "shop", "code", "state", "address")}


def test_the_doctor_says_what_to_do_about_each_thing_that_is_not_so(terminal: Terminal, shop: Path) -> None:
    root = shop.parents[1]
    declaration = json.loads((shop / "integration.yaml").read_text())
    (shop / "integration.yaml").write_text(json.dumps({**declaration, "auth": {"type": "bearer", "token": "${SHOP_TOKEN}"}}))
    (root / "specs" / "broken").mkdir()
    (root / "specs" / "broken" / "integration.yaml").write_text("name: broken\nspec: missing.yaml")
    (root / "file").write_text("")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = {"tool_specs": ["specs"], "policies": "nowhere", "data_dir": "file", "server": {"port": taken.getsockname()[1]}}
        (root / "toolgate.yaml").write_text(json.dumps(settings))

        ran = terminal("doctor", "--json")

    assert ran.code == 1
    assert findings(ran) == {
        "program": ["ok"],
        "settings": ["ok"],
        "policies": ["broken"],
        "broken": ["broken"],
        "shop": ["ok", "note"],
        "code": ["ok"],
        "state": ["broken"],
        "address": ["note"],
    }
    assert [finding["what"] for finding in ran.value if finding["level"] != "ok" and not finding["do"]] == []
    assert "SHOP_TOKEN" in ran.out


def test_the_doctor_reads_skills_and_says_which_keeps_toolgate_from_starting(terminal: Terminal, shop: Path) -> None:
    root = shop.parents[1]
    (root / "toolgate.yaml").write_text('{"tool_specs": ["specs"], "skills": "skills", "server": {"port": 0}}')
    (root / "skills").mkdir()
    (root / "skills" / "good.md").write_text("---\nname: good\ndescription: When it is good.\n---\nDo well.\n")
    sound = findings(terminal("doctor", "--json"))
    (root / "skills" / "odd.md").write_text("---\nname: odd\ndescription: x\ncolour: red\n---\nDo.\n")

    ran = terminal("doctor", "--json")

    assert (sound["prompts"], findings(ran)["prompts"], ran.code) == (["ok"], ["broken"], 1)
    assert "skills/odd.md" in ran.out


def test_the_doctor_names_a_folder_that_no_setting_does(terminal: Terminal, shop: Path) -> None:
    root = shop.parents[1]
    (root / "policies").mkdir()
    (root / "toolgate.yaml").write_text('{"tool_specs": ["specs"], "server": {"port": 0}}')

    (note,) = [each for each in terminal("doctor", "--json").value if each["level"] == "note"]

    assert (note["what"], note["says"]) == ("policies", f"{root / 'policies'} is not used")
    assert "`policies: policies`" in note["do"]


def test_the_doctor_asks_the_databases_that_are_shared(terminal: Terminal, shop: Path) -> None:
    away = {"ledger": "postgresql://u:hidden@127.0.0.1:1/x", "shared": "redis://:hidden@127.0.0.1:1"}
    (shop.parents[1] / "toolgate.yaml").write_text(json.dumps({"tool_specs": ["specs"], **away}))

    ran = terminal("doctor", "--json")

    found = {finding["what"]: finding for finding in ran.value if finding["what"] in ("ledger", "shared")}
    assert {what: finding["level"] for what, finding in found.items()} == {"ledger": "broken", "shared": "broken"}
    assert "the ledger's PostgreSQL cannot be used" in found["ledger"]["says"]
    assert found["shared"]["says"] == "its Redis does not answer; until it does, each process counts for itself"
    assert (ran.code, "hidden" in ran.out + ran.err) == (1, False)


def test_a_store_that_is_none_is_not_repeated(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "toolgate.yaml").write_text("store: postgresql://u:hidden@127.0.0.1/x")

    ran = terminal("doctor", "--json")

    assert "store: Input should be 'sqlite' or 'memory'" in ran.out
    assert (ran.code, "hidden" in ran.out + ran.err) == (1, False)


def test_the_doctor_begins_mcp_servers_and_says_why_one_does_not_answer(terminal: Terminal, shop: Path) -> None:
    root = shop.parents[1]
    for name, command in (("plain", [sys.executable, "-S", str(PLAIN)]), ("gone", ["/no/such/program"])):
        (root / "specs" / name).mkdir()
        (root / "specs" / name / "integration.yaml").write_text(json.dumps({"name": name, "kind": "mcp", "command": command}))
    (root / "toolgate.yaml").write_text('{"tool_specs": ["specs"], "server": {"port": 0}}')

    ran = terminal("doctor", "--json")

    said = {finding["what"]: (finding["level"], finding["says"]) for finding in ran.value}
    assert ran.code == 1
    assert said["plain"] == ("ok", "6 tools")
    assert said["gone"] == ("broken", "gone cannot be started: program: No such file or directory")


def test_the_doctor_names_what_servers_call_like_another_ones(terminal: Terminal, shop: Path) -> None:
    root = shop.parents[1]
    command = [sys.executable, "-S", str(PLAIN), "prompts"]
    for name, include in (("first", ["*"]), ("second", ["echo"])):
        (root / "specs" / name).mkdir()
        declared = {"name": name, "kind": "mcp", "command": command, "prefix": "", "include": include}
        (root / "specs" / name / "integration.yaml").write_text(json.dumps(declared))
    (root / "toolgate.yaml").write_text('{"tool_specs": ["specs"], "server": {"port": 0}}')

    ran = terminal("doctor", "--json")

    said = [(each["level"], each["says"], each["do"]) for each in ran.value if each["what"] == "second"]
    assert said == [
        ("ok", "1 tool", ""),
        ("note", "1 tool not served: echo: first has a tool echo already", "give it another `prefix` in its integration.yaml"),
        ("note", "1 prompt not served: greet: first has a prompt greet already", "give it another `prefix` in its integration.yaml"),
    ]


def test_the_doctor_survives_a_settings_file_that_is_none(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "toolgate.yaml").write_text("port: 1")

    ran = terminal("doctor", "--json")

    assert (ran.code, findings(ran)) == (1, {"program": ["ok"], "settings": ["broken"]})


def test_the_doctor_says_which_tools_of_ours_want_what(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLGATE_PROVIDERS", "{}")
    Path("toolgate.yaml").write_text('{"integrations": ["internal"], "server": {"port": 0}}')

    said = {finding["says"] for finding in terminal("doctor", "--json").value if finding["what"] == "internal"}

    assert any("web_search: no search engine is configured" in one for one in said)
    assert any("execute_code, run_tests: running code is off" in one for one in said)
    assert any("retrieve_context: no folder is indexed" in one for one in said)
    assert any("analyze_code, generate_tests, refactor_code: no language model" in one for one in said)
