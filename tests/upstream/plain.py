"""A server as a child process, in as little Python as can be, of the handshake eras: `python plain.py [HABIT...]`.

Habits: `silent` says nothing at all · `crash` ends when its tool `crash` is called · `flood` fills standard error ·
`garbage` prints what is no JSON · `deaf` ends neither by its input's end nor by SIGTERM · `family` leaves a child of
its own · `two` has a second tool · `loud` floods with log messages when `loud` is called · `slow` begins late · `bad`
has 30 tools that are none · `odd` has one whose arguments have names that not every client takes · `changes` has a
resource that is another when `change` is called · `asks` has a tool for clients only that can be asked something, and
asks them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

HABITS = set(sys.argv[1:])
CLIENT: dict[str, Any] = {}
"""What the client said that it can."""
ECHO = {
    "name": "echo",
    "description": "Say it again.",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    "annotations": {"readOnlyHint": True},
}
ODD = {
    "name": "odd",
    "inputSchema": {"type": "object", "properties": {"$filter": {"type": "string"}, "top": {}}, "required": ["$filter"]},
}

ROOTS: list[Any] = []
"""The client's, each time that it said they had changed."""
SUBSCRIBED: set[str] = set()
ASKED: dict[str, Any] = {}
"""The calls that wait for an answer, by the question."""


def tools() -> list[dict[str, Any]]:
    more = ["crash", "hang", "environment", "loud", "pid"] + (["two"] if "two" in HABITS else [])
    more += ["ask", "later", "roots"] if "asks" in HABITS and "elicitation" in CLIENT else []
    more += ["change"] if "changes" in HABITS else []
    odd = [ODD] if "odd" in HABITS else []
    none = [{"name": f"none{number}"} for number in range(30)] if "bad" in HABITS else []
    return [*none, *odd, ECHO, *({"name": name, "inputSchema": {"type": "object"}} for name in more)]


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def call(id: Any, name: str, arguments: dict[str, Any]) -> None:
    if name == "crash":
        sys.stderr.write("I was told\nto \x1b[31mend")
        sys.stderr.flush()
        os._exit(3)
    if name == "hang":
        return
    if name == "loud":
        for number in range(20_000):
            say({"method": "notifications/message", "params": {"level": "error", "data": number}})
    if name == "roots":
        say({"id": id, "result": {"content": [{"type": "text", "text": json.dumps(ROOTS)}]}})
        return
    if name == "later":
        say({"id": id, "result": {"content": [{"type": "text", "text": "soon"}]}})
        say({"method": "notifications/message", "params": {"level": "info", "data": "now"}})
        say({"method": "notifications/elicitation/complete", "params": {"elicitationId": "it"}})
        return
    for uri in sorted(SUBSCRIBED) if name == "change" else ():
        say({"method": "notifications/resources/updated", "params": {"uri": uri}})
    if name == "ask":
        ASKED[f"about {id}"] = id
        form = {"type": "object", "properties": {"name": {"type": "string"}}}
        say({"id": f"about {id}", "method": "elicitation/create", "params": {"message": "Your name?", "requestedSchema": form}})
        return
    if name == "odd":
        say({"id": id, "result": {"content": [{"type": "text", "text": json.dumps(arguments)}]}})
        return
    text = {"environment": json.dumps(dict(os.environ)), "pid": str(os.getpid())}.get(name, arguments.get("text", name))
    say({"id": id, "result": {"content": [{"type": "text", "text": text}]}})


def serve() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        method, params = message.get("method"), message.get("params", {})
        if method == "notifications/roots/list_changed":
            say({"id": "roots", "method": "roots/list"})
        if message.get("id") == "roots":
            ROOTS.append(message["result"]["roots"])
            continue
        if message.get("id") in ASKED:
            name = message["result"]["content"]["name"]
            say({"id": ASKED.pop(message["id"]), "result": {"content": [{"type": "text", "text": name}]}})
            continue
        if "silent" in HABITS or "id" not in message:
            continue
        if method == "initialize":
            CLIENT.update(params["capabilities"])
            able: dict[str, Any] = {"tools": {}, **({"resources": {"subscribe": True}} if "changes" in HABITS else {})}
            able |= {"prompts": {}} if "prompts" in HABITS else {}
            info = {"name": "plain", "version": "1"}
            say({"id": message["id"], "result": {"protocolVersion": "2025-06-18", "capabilities": able, "serverInfo": info}})
        elif method == "tools/list":
            say({"id": message["id"], "result": {"tools": tools()}})
        elif method == "prompts/list":
            say({"id": message["id"], "result": {"prompts": [{"name": "greet"}]}})
        elif method == "resources/list":
            say({"id": message["id"], "result": {"resources": [{"name": "one", "uri": "test://one"}]}})
        elif method in ("resources/subscribe", "resources/unsubscribe"):
            SUBSCRIBED.symmetric_difference_update([params["uri"]])
            say({"id": message["id"], "result": {}})
        elif method == "tools/call":
            call(message["id"], params["name"], params.get("arguments", {}))
        else:
            say({"id": message["id"], "error": {"code": -32601, "message": "no such method"}})


if __name__ == "__main__":
    if "slow" in HABITS:
        time.sleep(1)
    if "garbage" in HABITS:
        print("Welcome!\n\x00\xff {not json")
        sys.stdout.flush()
    if "flood" in HABITS:
        for number in range(20_000):
            sys.stderr.write(f"line {number} \x1b[31m of many\n")
    if "family" in HABITS:
        subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"], stdin=subprocess.DEVNULL)
    if "deaf" in HABITS:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    serve()
    while "deaf" in HABITS:
        time.sleep(1)
