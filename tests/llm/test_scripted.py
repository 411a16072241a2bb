from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from toolgate.errors import Misconfigured, ModelFailed
from toolgate.llm.improvised import LABEL, improvised
from toolgate.llm.messages import Assistant, Delta, Done, Errand, Message, Prompt, TextDelta, ToolCall, ToolResult, ToolSpec, User
from toolgate.llm.script import read_script
from toolgate.llm.scripted import Scripted
from toolgate.testing import a_principal

ERRAND = Errand(a_principal(), run="run1")
SEARCH = ToolSpec("search_tools", "Find tools", {"type": "object", "required": ["query"], "properties": {"query": {"type": "string"}}})
CALL = ToolSpec("call_tool", "Call a tool", {"type": "object"})
PLAY = """
- text: I look at them.
  calls: [{tool: list_issues, arguments: {repo: widgets}}]
- when: no such repo
  text: There is none of that name.
- text: "To {{task}} I say {{last}}"
"""


def played(text: str, tmp_path: Path, name: str = "play.yaml") -> Scripted:
    (tmp_path / name).write_text(text)
    return Scripted("play", read_script(tmp_path / name))


def after(text: str, failed: bool = False) -> list[Message]:
    call = ToolCall("c1", "list_issues", {"repo": "widgets"})
    return [User("How many?"), Assistant("I look at them.", (call,)), ToolResult("c1", text, failed)]


async def pieces(provider: Scripted, messages: Sequence[Message]) -> list[Delta]:
    return [delta async for delta in provider.stream(Prompt(messages), ERRAND)]


async def heard(provider: Scripted, said: list[str]) -> None:
    async for delta in provider.stream(Prompt([User("x")]), ERRAND):
        said += [delta.text] if isinstance(delta, TextDelta) else []


async def test_lines_are_said_in_order_and_depend_on_the_conversation_alone(tmp_path: Path) -> None:
    provider = played(PLAY, tmp_path)

    first = await provider.reply(Prompt([User("How many?")]), ERRAND)
    last = await provider.reply(Prompt(after("<result 1f of list_issues>\ntwo\n</result 1f>")), ERRAND)

    assert (first.stop, [(call.name, call.arguments) for call in first.message.calls]) == ("calls", [("list_issues", {"repo": "widgets"})])
    assert last.message.text == "To How many? I say two"
    assert (await provider.reply(Prompt([User("How many?")]), ERRAND)).message == first.message


async def test_a_line_whose_when_is_found_goes_before(tmp_path: Path) -> None:
    said = await played(PLAY, tmp_path).reply(Prompt(after("no such repo", failed=True)), ERRAND)

    assert said.message.text == "There is none of that name."


async def test_a_script_that_has_ended_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelFailed, match="the script of play has no line for this reply"):
        await played("- text: a", tmp_path).reply(Prompt(after("two")), ERRAND)


async def test_attempts_fail_as_written_and_then_the_line_is_said(tmp_path: Path) -> None:
    provider = played("- {text: a b c, errors: [{status: 429, retry_after: 2}, {after: 2}]}", tmp_path)

    with pytest.raises(ModelFailed) as busy:
        await pieces(provider, [User("x")])
    said: list[str] = []
    with pytest.raises(ModelFailed) as broken:
        await heard(provider, said)

    assert (busy.value.kind, busy.value.reason, busy.value.retry_after) == ("transient", "rate_limited", 2)
    assert (broken.value.reason, said) == ("cut_off", ["a ", "b "])
    done = (await pieces(provider, [User("x")]))[-1]
    assert isinstance(done, Done)
    assert done.reply.message.text == "a b c"


async def test_json_lines_are_a_script_too(tmp_path: Path) -> None:
    provider = played('{"text": "a"}\n\n{"text": "b"}\n', tmp_path, "play.jsonl")

    assert (await provider.reply(Prompt(after("x")), ERRAND)).message.text == "b"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "it: Tuple should have at least 1 item"),
        ("- {txt: a}", "0.txt: Extra inputs are not permitted"),
        ("- {when: '('}", "0.when: Value error, when is no regular expression"),
        ("- {errors: [{status: 200}]}", "0.errors.0.status: Input should be greater than or equal to 400"),
    ],
)
def test_what_is_no_script_is_said(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(Misconfigured) as refused:
        played(text, tmp_path)

    assert message in str(refused.value)
    assert "no script" in str(refused.value)


def test_a_script_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read: No such file"):
        read_script(tmp_path / "none.yaml")


def found(*tools: tuple[str, str, str]) -> str:
    return json.dumps({"tools": [{"name": name, "effect": effect, "arguments": arguments} for name, effect, arguments in tools]})


def test_without_a_script_it_searches_then_calls_what_only_reads_and_then_tells() -> None:
    task = User("List the issues of acme/widgets")

    first = improvised([task], [SEARCH, CALL])
    searched: list[Message] = [task, Assistant("", (ToolCall("1", "search_tools", {"query": task.text}),))]
    hits = found(
        ("create_issue", "adds", "owner: string, repo: string, title: string"),
        ("get_issue", "reads", "owner: string, repo: string, number: integer"),
        ("list_issues", "reads", "owner: string, repo: string, state?: open|closed"),
    )
    second = improvised([*searched, ToolResult("1", hits)], [SEARCH, CALL])
    wanted = {"name": "list_issues", "arguments": {"owner": "acme", "repo": "widgets"}}
    called = [
        *searched,
        ToolResult("1", hits),
        Assistant("", (ToolCall("2", "call_tool", wanted),)),
        ToolResult("2", "<result 1f of list_issues>\n#1 It leaks\n</result 1f>"),
    ]
    third = improvised(called, [SEARCH, CALL])

    assert first.calls == (("search_tools", {"query": task.text}),)
    assert second.calls == (("call_tool", wanted),)
    assert third.calls == ()
    assert third.text == f"{LABEL} list_issues answered:\n\n#1 It leaks"
    assert all(said.text.startswith(LABEL) for said in (first, second, third))


def test_without_a_script_nothing_is_called_that_writes_or_wants_more_than_the_task_says() -> None:
    task = User("Delete the issues of acme/widgets")
    searched: list[Message] = [task, Assistant("", (ToolCall("1", "search_tools", {"query": task.text}),))]
    hits = found(("delete_issue", "destroys or overwrites", "owner: string, repo: string"), ("get_file", "reads", "path: string"))

    said = improvised([*searched, ToolResult("1", hits)], [SEARCH, CALL])

    assert said.calls == ()
    assert "get_file. None of them can be called with what the task says alone" in said.text


def test_without_a_script_and_without_a_search_a_tool_is_taken_that_reads_by_its_name() -> None:
    schema = {"type": "object", "required": ["query"], "properties": {"query": {"type": "string"}}}

    said = improvised([User('Find "leaks"')], [ToolSpec("create_x", "", {"type": "object"}), ToolSpec("web_search", "", schema)])

    assert said.calls == (("web_search", {"query": "leaks"}),)


def test_without_a_script_and_tools_it_says_that_it_knows_nothing() -> None:
    assert improvised([User("2 + 2?")], []).text == f"{LABEL} There are no tools here, and without them a script knows nothing."
