from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from toolgate.environment import Environment
from toolgate.errors import Misconfigured
from toolgate.integration import Bearer, Integration, read_integration
from toolgate.settings import PATHS, Caller, Server, Settings, bundled, expand, read_settings, state_folder


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_a_file_the_defaults_hold() -> None:
    assert read_settings() == Settings()
    assert Settings().server.host == "127.0.0.1"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "toolgate.yaml").mkdir()

    with pytest.raises(Misconfigured, match="cannot be read: Is a directory"):
        read_settings()


def test_paths_in_the_file_are_relative_to_it(tmp_path: Path) -> None:
    file = tmp_path / "etc" / "toolgate.yaml"
    file.parent.mkdir()
    file.write_text("tool_specs: [specs, /opt/specs]\ndata_dir: state\npolicies: p\nfiles: {upload_folder: sent}\n")

    settings = read_settings(file)

    assert settings.tool_specs == (tmp_path / "etc/specs", Path("/opt/specs"))
    assert (settings.data_dir, settings.policies) == (tmp_path / "etc/state", tmp_path / "etc/p")
    assert settings.files.upload_folder == tmp_path / "etc/sent"


def test_every_setting_that_is_a_path_is_known_as_one() -> None:
    schema = Settings.model_json_schema()

    def places(node: Any, place: tuple[str, ...] = ()) -> Iterator[str]:
        if "$ref" in node:
            yield from places(schema["$defs"][node["$ref"].rpartition("/")[2]], place)
        if node.get("format") == "path":
            yield ".".join(place)
        for each in node.get("anyOf", ()):
            yield from places(each, place)
        for name, each in node.get("properties", {}).items():
            yield from places(each, (*place, name))
        for each in node.get("patternProperties", {}).values():
            yield from places(each, (*place, "*"))

    assert sorted(places(schema)) == sorted(PATHS)


@pytest.mark.parametrize(
    ("host", "reached"),
    [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("fd00::7", "[fd00::7]"), ("box", "box")],
)
def test_a_server_is_reached_on_this_machine_whatever_it_listens_on(host: str, reached: str) -> None:
    assert Server(host=host, port=80).url == f"http://{reached}:80"


def test_the_environment_stands_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toolgate.yaml").write_text("server: {port: 1, host: localhost}\nstdio: {roles: [agent]}\n")
    monkeypatch.setenv("TOOLGATE_SERVER__PORT", "2")

    settings = read_settings()

    assert (settings.server.port, settings.server.host) == (2, "localhost")
    assert settings.stdio == Caller(roles=("agent",))


@pytest.mark.parametrize(
    ("name", "value", "place", "read"),
    [
        ("SERVER__ALLOWED_HOSTS", "tools.example.com", "server.allowed_hosts", ("tools.example.com",)),
        ("SERVER__ALLOWED_HOSTS", "a.example, b.example:8443", "server.allowed_hosts", ("a.example", "b.example:8443")),
        ("SERVER__ALLOWED_HOSTS", '["a.example"]', "server.allowed_hosts", ("a.example",)),
        ("SERVER__ALLOWED_HOSTS", "", "server.allowed_hosts", ()),
        ("INTEGRATIONS", "github", "integrations", ("github",)),
        ("TOOL_SPECS", "/etc/specs", "tool_specs", (Path("/etc/specs"),)),
        ("SERVER__PORT", "", "server.port", 8765),
        ("ANONYMOUS", "null", "anonymous", None),
        ("LIMITS__REPEATS__CALLS", "null", "limits.repeats.calls", None),
        ("PORT", "tcp://10.0.0.1:8765", "server.port", 8765),  # Kubernetes tells each container of a service called toolgate
    ],
)
def test_the_environment_is_read_as_people_and_containers_write_it(
    name: str, value: str, place: str, read: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"TOOLGATE_{name}", value)

    assert attrgetter(place)(read_settings()) == read


def test_what_is_no_list_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOOLGATE_SERVER__ALLOWED_HOSTS", '["a.example')

    with pytest.raises(Misconfigured, match="the environment does not fit"):
        read_settings()


def test_a_secret_may_be_in_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret").write_text("postgresql://a:b@db/c\n")
    monkeypatch.setenv("TOOLGATE_LEDGER_FILE", str(tmp_path / "secret"))
    environ = Environment(
        {"TOKEN_FILE": str(tmp_path / "secret"), "BOTH": "said", "BOTH_FILE": str(tmp_path / "secret"), "GONE_FILE": "/nowhere"}
    )

    ledger = read_settings().ledger
    assert ledger
    assert ledger.get_secret_value() == "postgresql://a:b@db/c"
    assert expand(["${TOKEN}", "${BOTH}", "${NONE}"], environ, name="x") == ["postgresql://a:b@db/c", "said", None]
    with pytest.raises(Misconfigured, match="the file that GONE_FILE names cannot be read: No such file"):
        expand("${GONE}", environ, name="x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("servr: {}", "servr: Extra inputs are not permitted"),
        ("server: {port: 70000}", "server.port: Input should be less than or equal to 65535"),
        ("[1, 2]", "must hold a mapping of settings"),
        ("server: {allowed_origins: ['*']}", "'*' is no origin; name each, as https://tools.example.com, without a path"),
        ("server: {allowed_origins: [https://a.example/app]}", "'https://a.example/app' is no origin"),
        ("server: {allowed_origins: [a.example]}", "'a.example' is no origin"),
        ("server: {allowed_hosts: ['https://a.example']}", "'https://a.example' is no `Host`; name each"),
        ("server: {allowed_hosts: ['*.example.com']}", "'*.example.com' is no `Host`; name each"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_file_and_key(text: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "toolgate.yaml"
    file.write_text(text)

    with pytest.raises(Misconfigured) as refused:
        read_settings(file)

    assert message in str(refused.value)
    assert str(file) in str(refused.value)


def test_an_origin_with_a_slash_behind_it_is_that_origin() -> None:
    assert Server(allowed_origins=("https://a.example/", "vscode-webview://x")).allowed_origins == (
        "https://a.example",
        "vscode-webview://x",
    )


def test_a_file_that_was_asked_for_must_exist(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="there is no settings file"):
        read_settings(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("value", "expanded"),
    [
        ("${A}", "one"),
        ("x-${A}-y", "x-one-y"),
        ("${MISSING}", None),
        ("${MISSING:-spare}", "spare"),
        ("${A:-spare}", "one"),
        ("$A {A} $${", "$A {A} $${"),
        ({"a": ["${A}", 1, None]}, {"a": ["one", 1, None]}),
        ("${TRICK}", "${A}"),
    ],
)
def test_variables_are_expanded_once_and_only_in_values(value: object, expanded: object) -> None:
    assert expand(value, {"A": "one", "TRICK": "${A}"}, name="f") == expanded


def test_a_missing_variable_inside_a_longer_text_is_refused() -> None:
    with pytest.raises(Misconfigured, match="f asks for the environment variable MISSING"):
        expand("Bearer ${MISSING}", {}, name="f")


def test_bundled_folders_exist_and_state_has_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    assert (bundled("policies") / "roles" / "readonly.yaml").is_file()
    assert state_folder(Settings()) == tmp_path / "toolgate"
    assert state_folder(Settings(data_dir=Path("here"))) == Path("here")


def test_an_integration_says_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "integration.yaml").write_text(
        """
        name: github
        spec: openapi.json.gz
        base_url: https://api.github.com
        auth: {type: bearer, token: "${TOKEN}"}
        expose: [list_issues]
        defaults: {timeout: 2m, cache: 60s}
        allow_networks: ["127.0.0.0/8"]
        prices: {default: 0, create_issue: 0.001}
        """
    )

    integration = read_integration(tmp_path, {"TOKEN": "canary"})

    assert integration.auth == Bearer(type="bearer", token=SecretStr("canary"))
    assert (integration.defaults.timeout, integration.defaults.cache) == (120.0, 60.0)
    assert integration.tool_prefix == "github_"
    assert integration.overlays == ()
    assert "canary" not in repr(integration)
    assert read_integration(tmp_path, {}).auth == Bearer(type="bearer")


@pytest.mark.parametrize(
    "text", ["name: 'a b'", "name: x\nkind: soap", "name: x\nauth: {type: magic}", "- x", "name: x\nallow_networks: [here]"]
)
def test_an_integration_that_cannot_be_meant_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "integration.yaml").write_text(text)

    with pytest.raises(Misconfigured, match=r"integration\.yaml"):
        read_integration(tmp_path)


def test_an_integration_needs_its_file(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"has no integration\.yaml"):
        read_integration(tmp_path)


def test_a_prefix_may_be_empty() -> None:
    assert Integration(name="x", prefix="").tool_prefix == ""
