"""The agent over AG-UI 1.0, by its events alone; the official client is in test_agent_client.py."""

from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from tests.api.talking import Talking, an_input, by_name, events, said
from toolgate.errors import ModelFailed
from toolgate.llm.messages import Assistant, Image, Tokens, ToolResult, User
from toolgate.server.identify import STATE
from toolgate.testing import Line

HELLO = {"id": "a", "role": "assistant", "content": "Hello."}
CLOSES = Line("I close it.", calls=(("close_issue", {"number": 7}),), cost=120)


def kinds(heard: list[dict[str, Any]]) -> list[str]:
    """The types of the protocol's own events, in order."""
    return [event["type"] for event in heard if event["type"] != "CUSTOM"]


async def test_a_run_is_told_from_start_to_end_with_its_tools_and_its_bill() -> None:
    world = Talking([Line("I look.", calls=(("list_issues", {}),), cost=100), Line("One leaks.", cost=50)])
    async with world.client() as client:
        answer = await client.post("/v1/agent", json=an_input([said("Which issues are there?")]))

    heard = events(answer)
    assert kinds(heard) == [
        *("RUN_STARTED", "STEP_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"),
        *("TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END", "TOOL_CALL_RESULT", "STEP_FINISHED"),
        *("STEP_STARTED", "TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END", "STEP_FINISHED"),
        "RUN_FINISHED",
    ]
    started, end = heard[0], heard[-1]
    assert (started["threadId"], started["runId"], started["protocolVersion"]) == ("t1", "r1", "1.0")
    (result,) = (event for event in heard if event["type"] == "TOOL_CALL_RESULT")
    assert (result["content"], result["metadata"]["toolgate"]["failed"]) == ("#7 It leaks", False)
    assert end["outcome"] == {"type": "success"}
    assert end["usage"] == [
        {
            "provider": "scripted",
            "model": "scripted-1",
            "inputTokens": 200,
            "outputTokens": 40,
            "totalTokens": 240,
            "reasoningTokens": 0,
            "cachedInputTokens": 0,
            "cacheWriteInputTokens": 0,
        }
    ]
    report = end["result"]
    assert (report["status"], report["answer"], report["run"]) == ("done", "One leaks.", started["metadata"]["toolgate"]["run"])
    assert (report["bill"]["total"]["micros"], report["steps"], report["calls"], len(report["audit"])) == (150, 2, 1, 1)
    assert {"toolgate.routed", "toolgate.spent"} <= {event["name"] for event in heard if event["type"] == "CUSTOM"}


async def test_a_call_that_needs_a_yes_interrupts_the_run_and_its_answer_goes_on_with_it() -> None:
    world = Talking([CLOSES, Line("It is closed.", cost=60)])
    async with world.client() as client:
        first = events(await client.post("/v1/agent", json=an_input([said("Close #7")])))
        interrupted = first[-1]["outcome"]
        (asked,) = interrupted["interrupts"]
        assert world.issues.closed == []
        resume = [{"interruptId": asked["id"], "status": "resolved", "payload": {"approved": True}}]
        second = events(await client.post("/v1/agent", json=an_input(conversation(first), runId="r2", resume=resume)))

    assert interrupted["type"] == "interrupt"
    assert (asked["reason"], asked["responseSchema"]["required"]) == ("tool_call", ["approved"])
    assert "wants to call close_issue" in asked["message"]
    assert asked["toolCallId"] in {event["toolCallId"] for event in first if event["type"] == "TOOL_CALL_START"}
    assert world.issues.closed == [7]
    assert "TOOL_CALL_START" not in kinds(second)  # the client has it from before
    assert [event["content"] for event in second if event["type"] == "TOOL_CALL_RESULT"] == ["#7 is closed"]
    assert second[-1]["outcome"] == {"type": "success"}
    assert [(each["inputTokens"], each["outputTokens"]) for each in second[-1]["usage"]] == [(100, 20)]  # this run's alone
    assert second[-1]["result"]["bill"]["total"]["micros"] == 120 + 60 + 10_000


def conversation(heard: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a client has after it heard that."""
    calls = [
        {"id": event["toolCallId"], "type": "function", "function": {"name": event["toolCallName"], "arguments": "{}"}}
        for event in heard
        if event["type"] == "TOOL_CALL_START"
    ]
    return [dict(said("Close #7")), {"id": "a1", "role": "assistant", "content": "I close it.", "toolCalls": calls}]


@pytest.mark.parametrize("entry", [{"status": "resolved", "payload": {"approved": False}}, {"status": "cancelled"}])
async def test_a_no_is_told_to_the_model_and_nothing_is_done(entry: dict[str, Any]) -> None:
    world = Talking([CLOSES, Line("Then not.")])
    async with world.client() as client:
        first = events(await client.post("/v1/agent", json=an_input([said("Close #7")])))
        (asked,) = first[-1]["outcome"]["interrupts"]
        second = events(await client.post("/v1/agent", json=an_input(conversation(first), resume=[entry | {"interruptId": asked["id"]}])))

    assert world.issues.closed == []
    assert second[-1]["result"]["answer"] == "Then not."


async def test_a_yes_with_other_arguments_makes_the_call_with_these_and_tells_the_model_and_the_audit() -> None:
    world = Talking([CLOSES, Line("It was #8, then.")])
    async with world.client() as client:
        first = events(await client.post("/v1/agent", json=an_input([said("Close #7")])))
        (asked,) = first[-1]["outcome"]["interrupts"]
        payload = {"approved": True, "editedArgs": {"number": 8}}
        resume = [{"interruptId": asked["id"], "status": "resolved", "payload": payload}]
        second = events(await client.post("/v1/agent", json=an_input(conversation(first), resume=resume)))

    changed = 'ada changed the arguments of close_issue before it is called, to {"number": 8}'
    told = '[Toolgate] ada changed the arguments of this call before it was made: {"number": 8}\n\n#8 is closed'
    assert "editedArgs" in asked["responseSchema"]["properties"]
    assert world.issues.closed == [8]
    assert [event["value"]["text"] for event in second if event.get("name") == "toolgate.noted"] == [changed]
    assert [event["content"] for event in second if event["type"] == "TOOL_CALL_RESULT"] == [told]
    assert "TOOL_CALL_START" not in kinds(second)
    replied, result = world.model.asked[1].messages[-2:]
    assert isinstance(replied, Assistant)
    assert isinstance(result, ToolResult)
    assert [call.arguments for call in replied.calls] == [{"number": 7}]  # what the model said stays
    assert told in result.text
    lines = [entry.body for entry in reversed(await world.stores.journal.read("audit"))]
    answers = [(line["type"], line["details"]["by"]) for line in lines if line["type"] in ("approval.granted", "approval.denied")]
    (granted,) = (line["details"] for line in lines if line["type"] == "approval.granted")
    (outcome,) = (line for line in lines if line["type"] == "call.outcome" and line["tool"]["name"] == "close_issue")
    assert answers == [("approval.denied", "ada"), ("approval.granted", "ada")]
    assert granted["instead_of"] == asked["id"]
    assert (outcome["notes"]["approve"]["by"], outcome["notes"]["approve"]["instead_of"]) == ("ada", asked["id"])
    (intent,) = (line for line in lines if line["type"] == "call.intent" and line["tool"]["name"] == "close_issue")
    assert intent["arguments"]["values"] == {"number": 8}


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        ({"approved": True, "editedArgs": {}}, "required"),
        ({"approved": True, "editedArgs": {"number": "eight"}}, "is not of type"),
        ({"approved": True, "editedArgs": [8]}, "an answer is"),
    ],
)
async def test_arguments_that_do_not_fit_are_told_before_anything_is_decided(payload: Any, says: str) -> None:
    world = Talking([CLOSES, Line("Done.")])
    async with world.client() as client:
        first = events(await client.post("/v1/agent", json=an_input([said("Close #7")])))
        (asked,) = first[-1]["outcome"]["interrupts"]

        async def answered(payload: Any) -> list[dict[str, Any]]:
            resume = [{"interruptId": asked["id"], "status": "resolved", "payload": payload}]
            return events(await client.post("/v1/agent", json=an_input(conversation(first), resume=resume)))

        second = await answered(payload)
        assert (second[-1]["type"], second[-1]["code"]) == ("RUN_ERROR", "invalid_arguments")
        assert says in second[-1]["message"]
        assert world.issues.closed == []
        third = await answered({"approved": True, "editedArgs": {"number": 9}})  # it still waits

    assert world.issues.closed == [9]
    assert third[-1]["outcome"] == {"type": "success"}


async def test_a_no_with_arguments_is_a_no() -> None:
    world = Talking([CLOSES, Line("Then not.")])
    async with world.client() as client:
        first = events(await client.post("/v1/agent", json=an_input([said("Close #7")])))
        (asked,) = first[-1]["outcome"]["interrupts"]
        payload = {"approved": False, "editedArgs": {"number": 8}}
        resume = [{"interruptId": asked["id"], "status": "resolved", "payload": payload}]
        await client.post("/v1/agent", json=an_input(conversation(first), resume=resume))

    assert world.issues.closed == []


async def test_an_answer_that_is_neither_yes_nor_no_is_an_error_and_decides_nothing() -> None:
    world = Talking([CLOSES])
    async with world.client() as client:
        first = events(await client.post("/v1/agent", json=an_input([said("Close #7")])))
        (asked,) = first[-1]["outcome"]["interrupts"]
        resume = [{"interruptId": asked["id"], "status": "resolved", "payload": "sure"}]
        second = events(await client.post("/v1/agent", json=an_input(conversation(first), resume=resume)))

    assert [event["type"] for event in second] == ["RUN_STARTED", "RUN_ERROR"]
    assert second[-1]["code"] == "invalid_arguments"
    assert world.issues.closed == []


async def test_nobody_answers_what_another_was_asked() -> None:
    world = Talking([CLOSES])
    async with world.client() as ada, world.client("bob") as bob:
        first = events(await ada.post("/v1/agent", json=an_input([said("Close #7")])))
        (asked,) = first[-1]["outcome"]["interrupts"]
        resume = [{"interruptId": asked["id"], "status": "resolved", "payload": {"approved": True}}]
        second = events(await bob.post("/v1/agent", json=an_input(conversation(first), resume=resume)))

        assert second[-1]["code"] == "unknown_run"
        (waiting,) = (await ada.get("/v1/approvals")).json()["approvals"]
        assert waiting["state"] == "pending"


async def test_a_thread_goes_on_where_it_was() -> None:
    world = Talking([Line("Hello."), Line("You said hi.")])
    async with world.client() as client:
        await client.post("/v1/agent", json=an_input([said("Hi")]))
        answer = events(await client.post("/v1/agent", json=an_input([said("Hi"), HELLO, said("What did I say?")])))

    assert answer[-1]["result"]["answer"] == "You said hi."
    assert [getattr(message, "text", "") for message in world.model.asked[1].messages][1:] == ["Hi", "Hello.", "What did I say?"]


async def test_of_two_requests_that_begin_one_thread_at_once_one_does() -> None:
    world = Talking([Line("Hello.")] * 2)
    answers: list[list[dict[str, Any]]] = []

    async def ask(client: Any) -> None:
        answers.append(events(await client.post("/v1/agent", json=an_input([said("Hi")]))))

    async with world.client() as client, anyio.create_task_group() as tasks:
        tasks.start_soon(ask, client)
        tasks.start_soon(ask, client)

    assert sorted(answer[-1]["type"] for answer in answers) == ["RUN_ERROR", "RUN_FINISHED"]
    (done,) = (answer[-1]["result"]["run"] for answer in answers if answer[-1]["type"] == "RUN_FINISHED")
    assert len(world.model.asked) == 1
    async with world.client() as client:
        heard = events(await client.post("/v1/agent", json=an_input([said("Hi"), HELLO, said("And?")])))
    assert heard[-1]["result"]["run"] == done


async def test_a_conversation_that_is_new_to_us_goes_along_as_text_and_instructions_stand_over_it() -> None:
    world = Talking([Line("You said hi.")])
    messages = [
        {"id": "s", "role": "system", "content": "Be brief."},
        said("Hi"),
        HELLO,
        said("What?"),
    ]
    async with world.client() as client:
        await client.post("/v1/agent", json=an_input(messages, context=[{"description": "Page", "value": "issues"}]))

    system, task = (getattr(message, "text", "") for message in world.model.asked[0].messages)
    assert system.endswith("Be brief.\n\nPage: issues")
    assert task == "What was said before:\n\nuser: Hi\n\nassistant: Hello.\n\nWhat is asked now:\n\nWhat?"


async def test_what_the_client_says_of_a_thread_later_is_heeded_too() -> None:
    world = Talking([Line("Hello."), Line("a", calls=(("list_issues", {}),)), Line("b")])
    props = {"model": "scripted/x", "max_steps": 1, "max_cost": 0.5}
    async with world.client() as client:
        page = {"context": [{"description": "Page", "value": "issues"}]}
        first = events(await client.post("/v1/agent", json=an_input([said("Hi")], forwardedProps={"max_cost": 0.25}, **page)))
        page = {"context": [{"description": "Page", "value": "pulls"}]}
        heard = events(await client.post("/v1/agent", json=an_input([said("Hi"), HELLO, said("Look")], forwardedProps=props, **page)))

    run = await world.agent.runs.get(first[-1]["result"]["run"], await by_name({"headers": []}))
    assert (run.task.limits.cost, heard[-1]["result"]["status"]) == (500_000, "budget_exhausted")
    assert world.model.asked[1].model == "scripted/x"
    assert getattr(world.model.asked[1].messages[0], "text", "").endswith("Page: pulls")


async def test_a_run_that_fails_ends_with_an_error_and_what_it_used() -> None:
    refused = ModelFailed("the model cannot understand the request", "request", reason="invalid")
    world = Talking([Line(calls=(("list_issues", {}),), tokens=Tokens(10, 1)), Line(error=refused)])
    async with world.client() as client:
        heard = events(await client.post("/v1/agent", json=an_input([said("Hi")])))

    assert (heard[-1]["type"], heard[-1]["message"], heard[-1]["code"]) == ("RUN_ERROR", str(refused), "failed")
    assert heard[-1]["usage"][0]["inputTokens"] == 10


CAT, DOG = Image(b"\x89PNG\r\n\x1a\n the cat"), Image(b"\xff\xd8\xff the dog", "image/jpeg")


def picture(source: str, value: str, media_type: str = "image/png") -> Any:
    return {"type": "image", "source": {"type": source, "value": value, "mimeType": media_type}}


async def test_pictures_are_shown_to_the_model_and_stay_with_the_thread() -> None:
    world = Talking([Line("A cat."), Line("A dog.")])
    first = {"id": "1", "role": "user", "content": [{"type": "text", "text": "What is this?"}, picture("data", CAT.base64)]}
    second = {"id": "3", "role": "user", "content": [picture("url", DOG.url, "image/jpeg")]}
    async with world.client() as client:
        await client.post("/v1/agent", json=an_input([first]))
        heard = events(
            await client.post("/v1/agent", json=an_input([first, {"id": "2", "role": "assistant", "content": "A cat."}, second]))
        )

    assert heard[-1]["type"] == "RUN_FINISHED"
    told = [[message for message in prompt.messages if isinstance(message, User)] for prompt in world.model.asked]
    assert told == [[User("What is this?", (CAT,))], [User("What is this?", (CAT,)), User("", (DOG,))]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"threadId": "t"}, "runId: Field required"),
        (an_input([{"content": "x"}]), "messages.0 is no message"),
        (an_input([{"role": "user", "content": [{"type": "document"}]}]), "messages.0.content has a part of type document"),
        (
            an_input([{"role": "user", "content": [{"type": "image"}]}]),
            "messages.0.content.0 holds no picture: it comes with the request, as",
        ),
        (an_input([{"role": "user", "content": [picture("url", "https://example.com/cat.png")]}]), "messages.0.content.0 is no data: URL."),
        (an_input([{"role": "user", "content": [picture("data", "Y2F0")]}]), "messages.0.content.0 does not begin as a picture does"),
        (an_input([{"role": "assistant", "toolCalls": 5}, said("x")]), "messages.0: Value error, toolCalls is a list of calls"),
        (an_input([{"role": "assistant", "toolCalls": [5]}, said("x")]), "messages.0: Value error, toolCalls is a list of calls"),
        (an_input([{"role": "tool", "toolCallId": ["x"], "content": "x"}]), "messages.0: Value error, toolCalls is a list of calls"),
        (an_input([said("x")], forwardedProps={"max_cost": "much"}), "forwardedProps.max_cost is not what agent_run takes"),
    ],
)
async def test_what_is_no_input_is_refused(body: Any, message: str) -> None:
    async with Talking([]).client() as client:
        answer = await client.post("/v1/agent", json=body)

    assert answer.status_code == 400
    assert message in answer.json()["problem"]["message"]


async def test_who_may_not_run_the_agent_is_refused() -> None:
    async with Talking([]).client("rita") as client:
        answer = await client.post("/v1/agent", json=an_input([said("Hi")]))

    assert answer.status_code == 403
    assert "rita may not run the agent" in answer.json()["problem"]["message"]


async def test_what_the_client_says_of_the_run_is_heeded() -> None:
    wishes = {"model": "scripted/x", "max_steps": 1, "high_risk": True}
    world = Talking([Line("a", calls=(("list_issues", {}),)), Line("b")])
    async with world.client() as client:
        heard = events(await client.post("/v1/agent", json=an_input([said("Hi")], forwardedProps=wishes)))

    assert (world.model.asked[0].model, world.model.errands[0].high_risk) == ("scripted/x", True)
    assert heard[-1]["result"]["status"] == "budget_exhausted"


async def test_a_reader_who_leaves_ends_the_run_so_that_it_can_be_taken_up() -> None:
    world, left = Talking([Line("slow", delay=60)]), anyio.Event()
    body = json.dumps(an_input([said("Hi")])).encode()
    requests = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if requests:
            return requests.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if b"RUN_STARTED" in message.get("body", b""):
            left.set()

    scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/v1/agent", "headers": [], "query_string": b""}
    ada = await by_name(scope)
    scope["state"] = {STATE: ada}
    with anyio.fail_after(30):
        await world.app()(scope, receive, send)

    (run,) = await world.agent.runs.seen_by(ada)
    assert run.status == "cancelled"


async def test_a_tool_of_the_front_end_is_called_there_and_its_result_goes_on_with_the_run() -> None:
    world = Talking([Line("I ask.", calls=(("list_issues", {}), ("confirm", {"what": "closing #7"}))), Line("You want it closed.")])
    schema = {"type": "object", "properties": {"what": {"type": "string"}}}
    tools = [{"name": "confirm", "description": "Ask the person at the screen.", "parameters": schema}]
    async with world.client() as client:
        first = events(await client.post("/v1/agent", json=an_input([said("Close it?")], tools=tools)))
        call = next(event["toolCallId"] for event in first if event.get("toolCallName") == "confirm")
        messages = [*conversation(first), {"id": "m9", "role": "tool", "toolCallId": call, "content": "yes"}]
        second = events(await client.post("/v1/agent", json=an_input(messages, runId="r2", tools=tools)))

    assert first[-1]["outcome"] == {"type": "success"}
    assert [event["toolCallName"] for event in first if event["type"] == "TOOL_CALL_START"] == ["list_issues", "confirm"]
    assert [event["content"] for event in first if event["type"] == "TOOL_CALL_RESULT"] == ["#7 It leaks"]
    assert "TOOL_CALL_RESULT" not in kinds(second)  # the client has it
    assert (second[-1]["result"]["status"], second[-1]["result"]["answer"]) == ("done", "You want it closed.")
    told = [message.text for message in world.model.asked[1].messages if isinstance(message, ToolResult)]
    assert "yes" in told[1]


async def test_tools_of_a_front_end_that_are_none_are_a_bad_request() -> None:
    async with Talking([]).client() as client:
        answers = [await client.post("/v1/agent", json=an_input([said("Hi")], tools=tools)) for tools in ([{"name": "a b"}], [7])]

    assert [answer.status_code for answer in answers] == [400, 400]


async def test_what_a_front_end_only_shows_is_nothing_that_was_said_and_null_is_not_there() -> None:
    world = Talking([Line("It rains.")])
    messages = [
        said("Hi"),
        {"id": "m2", "role": "reasoning", "content": "Somebody greets me."},
        {"id": "m3", "role": "assistant", "content": "Hello."},
        {"id": "m4", "role": "user", "content": "And the weather?", "name": None},
        {"id": "m5", "role": "activity", "activityType": "PLAN", "content": {"steps": ["look"]}},
    ]
    nulls = dict.fromkeys(("tools", "context", "state", "resume", "parentRunId"))
    async with world.client() as client:
        told = events(await client.post("/v1/agent", json=an_input(messages, **nulls, forwardedProps={"model": None})))

    assert told[-1]["type"] == "RUN_FINISHED"
    before = "user: Hi\n\nassistant: Hello."
    assert world.model.asked[0].messages[-1] == User(f"What was said before:\n\n{before}\n\nWhat is asked now:\n\nAnd the weather?")


@pytest.mark.parametrize("source", [{"data": CAT.base64, "mimeType": "image/png"}, {"url": CAT.url, "mimeType": "image/png"}])
async def test_a_picture_in_the_form_of_an_older_client_is_seen(source: dict[str, Any]) -> None:
    world = Talking([Line("A cat.")])
    content = [{"type": "text", "text": "What is this?"}, {"type": "binary", **source}]
    async with world.client() as client:
        await client.post("/v1/agent", json=an_input([{"id": "m1", "role": "user", "content": content}]))

    assert world.model.asked[0].messages[-1] == User("What is this?", (CAT,))
