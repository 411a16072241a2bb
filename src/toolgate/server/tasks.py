"""Jobs as the protocol's tasks: calls that their client need not wait for.

    2025-11-25   core, experimental: the client asks for a task with its call, and has the answer by `tasks/result`
    2026-07-28   extension `io.modelcontextprotocol/tasks`: the server decides, and `tasks/get` brings the answer

A task is a job (`toolgate.internal.jobs`): durable, its owner's on whatever connection, the same that `get_job` tells of. The call
within it is a call like any other to the gate. Since 2026-07-28 a call that is over soon is answered at once, to a client that
knows tasks too: what takes longer (`server.task_after`) becomes one, so that nobody asks twice for what is quick, and what has to
be asked of a person is asked before. Of a task nobody asks anything: what wants a yes then waits in the book of approvals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import anyio
import mcp_types as types
from mcp.server.connection import Connection
from mcp.server.context import CallNext, HandlerResult
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import decode_header_value
from mcp_types import methods
from pydantic import ValidationError

from toolgate.calls import PROTOCOL, Ask, Outcome, Principal, Progress, Tool
from toolgate.gateway import Gateway, unwrapped
from toolgate.internal.jobs import ENDED, KEPT, Job, Jobs, Work, outcome_of
from toolgate.internal.trouble import Trouble
from toolgate.server import asking, calling
from toolgate.server.attended import Attended
from toolgate.server.passing import PassingClient, connection_of
from toolgate.stores import Record
from toolgate.tasks import either
from toolgate.times import stamp

Context = Any
Said = types.CallToolRequestParams
Named = types.GetTaskRequestParams

EXTENSION = "io.modelcontextprotocol/tasks"
RELATED = "io.modelcontextprotocol/related-task"
CORE, EXTENDED = "2025-11-25", "2026-07-28"
CAPABILITY = types.ServerTasksCapability.model_validate({"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}})
POLL = 1000
"""Milliseconds after which it is worth asking again."""
LEAST = 60.0
"""Seconds beside its tool's own in which a task can be asked after, however few its client wants."""
PAGE = 50
STATUS = {"running": "working", "done": "completed", "failed": "failed", "cancelled": "cancelled", "interrupted": "failed"}
INTERRUPTED = "the process that worked at it ended; whether it had an effect is for the audit to say"
CANCELLED = "it was cancelled; what it has done until then stays done"


class Tasks:
    def __init__(self, gateway: Gateway, jobs: Jobs, who: Callable[[Context], Principal], patience: float) -> None:
        """
        Args:
            patience: seconds that a call may take before it becomes a task by itself.
        """
        self._gateway = gateway
        self._jobs = jobs
        self._who = who
        self._patience = patience

    def attach(self, server: Server[Any]) -> None:
        """Have `server` answer to what is asked of tasks."""
        handlers = {"get": self.get, "result": self.result, "cancel": self.cancel, "update": self.update}
        for name, handler in handlers.items():
            server.add_request_handler(f"tasks/{name}", Named, handler)
        server.add_request_handler("tasks/list", types.PaginatedRequestParams, self.listed)
        server.middleware.append(self._asked_for)

    # What becomes a task.

    async def _asked_for(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """A middleware of the SDK's, whose own way knows no other answer to a call of 2025-11-25 than a result."""
        params = ctx.params or {}
        if ctx.method == "subscriptions/listen" and _listens(params) and not takes(PassingClient(ctx).capabilities):
            raise _missing()
        if ctx.method != "tools/call" or ctx.protocol_version != CORE or ctx.request_id is None or params.get("task") is None:
            return await call_next(ctx)
        try:
            methods.validate_client_request("tools/call", CORE, params)
        except ValidationError:
            return await call_next(ctx)  # which refuses it
        said = Said.model_validate(params, by_name=False)
        tool = self._tool(ctx, said)
        if tool is None or not connection_of(ctx).initialize_accepted:
            return await call_next(ctx)  # as before
        if not supports(tool):
            raise MCPError(code=types.METHOD_NOT_FOUND, message=f"{tool.name} cannot be a task; call it without `task`")
        return {"task": core(await self._task(ctx, said, tool))}

    async def _task(self, ctx: Context, said: Said, tool: Tool) -> Record:
        who, ttl = self._who(ctx), said.task.ttl if said.task else None
        asks = asking.asking(ctx, said, self._gateway.approvals.settings)
        wanted = await self._gateway.asks(said.name, said.arguments or {}, who) if asks else None
        attended = Attended(PassingClient(ctx), asks.ask if asks else None)
        seconds = KEPT if ttl is None else min(KEPT, max(ttl / 1000, tool.timeout + LEAST))
        job = self._begun(ctx, said, attended, seconds, counted=True)
        try:
            if wanted is not None and wanted[0].state == "pending":
                await either(attended.answered.wait, job.ended.wait)  # its person is at the other end of this request, and of no later one
            attended.leave()
            record = await self._jobs.keep(job)
        except BaseException:
            job.scope.cancel()
            raise
        self._jobs.tasks.start_soon(self._tell, connection_of(ctx), job)
        return record

    async def outcome(self, ctx: Context, said: Said, ask: Ask | None, progress: Progress | None) -> Outcome | Mapping[str, Any]:
        """How a call of a client that knows tasks ended, or the task that it has become."""
        attended = Attended(PassingClient(ctx), ask, progress)
        job = self._begun(ctx, said, attended, KEPT, counted=False)
        try:
            with anyio.move_on_after(self._patience):
                await job.ended.wait()
            if not job.ended.is_set():
                with suppress(Trouble):  # as many as may be are under way: it is waited for
                    record = await self._jobs.keep(job)
                    attended.leave()
                    return {"resultType": "task", **extended(record)}
                await job.ended.wait()
        except BaseException:
            job.scope.cancel()
            raise
        if job.outcome is None:
            raise MCPError(code=types.INTERNAL_ERROR, message="this server ends, and the call with it")
        return job.outcome

    def _begun(self, ctx: Context, said: Said, attended: Attended, seconds: float, *, counted: bool) -> Job:
        who, arguments, meta = self._who(ctx), said.arguments or {}, ctx.meta or {}
        name, inner = unwrapped(said.name, arguments)
        work = Work(name, inner, who, seconds=seconds)
        calling.said(meta)  # raises here what would otherwise end the job as a bug

        async def run(progress: Progress) -> Outcome:
            told = attended.telling(progress)
            at = self._gateway, name, inner, who, meta
            return await calling.called(*at, id=work.call, progress=told, ask=attended.person, client=attended)

        try:
            return self._jobs.begin(work, run, counted=counted)
        except Trouble as trouble:
            raise MCPError(code=types.INVALID_REQUEST, message=trouble.message) from None

    def _tool(self, ctx: Context, said: Said) -> Tool | None:
        return self._gateway.visible(self._who(ctx)).get(unwrapped(said.name, said.arguments or {})[0])

    def may_become(self, ctx: Context, said: Said) -> bool:
        """Whether the answer to a call may be a task instead of its result."""
        if ctx.protocol_version != EXTENDED or not takes(PassingClient(ctx).capabilities):
            return False
        tool = self._tool(ctx, said)
        return tool is not None and supports(tool)

    async def _tell(self, connection: Connection, job: Job) -> None:
        """Say over the connection that it was asked for by that a task has ended. Nobody relies on it."""
        await job.ended.wait()
        with anyio.move_on_after(5.0), suppress(Exception):
            record = await self._jobs.get(job.work.principal, job.id)
            await connection.notify("notifications/tasks/status", core(record))

    # What is asked of tasks.

    async def get(self, ctx: Context, params: Named) -> dict[str, Any]:
        record = await self._record(ctx, params.task_id)
        if ctx.protocol_version == CORE:
            return core(record)
        said = extended(record)
        if said["status"] == "failed":
            return {**said, "error": {"code": types.INTERNAL_ERROR, "message": INTERRUPTED}}
        if said["status"] != "completed":
            return said
        try:
            return {**said, "result": self._answer(ctx, record)}
        except MCPError as error:
            return {**said, "status": "failed", "error": error.error.model_dump(mode="json", by_alias=True, exclude_none=True)}

    async def result(self, ctx: Context, params: Named) -> dict[str, Any]:
        _only(CORE, ctx)
        while (record := await self._record(ctx, params.task_id)).body["status"] not in ENDED:
            job = self._jobs.under_way.get(record.id)
            with anyio.move_on_after(POLL / 1000):  # another process may be at work
                await (job.ended.wait() if job else anyio.sleep_forever())
        answer = self._answer(ctx, record)
        return {**answer, "_meta": {**answer.get("_meta", {}), RELATED: {"taskId": record.id}}}

    async def listed(self, ctx: Context, params: types.PaginatedRequestParams) -> dict[str, Any]:
        _only(CORE, ctx)
        cursor = params.cursor or ""
        if len(cursor) not in (0, 32) or not set(cursor) <= set("0123456789abcdef"):
            raise MCPError(code=types.INVALID_PARAMS, message="this cursor leads nowhere; list from the beginning")
        records = await self._jobs.of(self._who(ctx), after=cursor, limit=PAGE + 1)
        more = {"nextCursor": records[PAGE - 1].id} if len(records) > PAGE else {}
        return {"tasks": [core(record) for record in records[:PAGE]], **more}

    async def cancel(self, ctx: Context, params: Named) -> dict[str, Any]:
        record = await self._record(ctx, params.task_id)
        if ctx.protocol_version == CORE and (status := core(record)["status"]) != "working":
            raise MCPError(code=types.INVALID_PARAMS, message=f"the task is {status}; only one that is under way can be cancelled")
        record = await self._jobs.cancel(self._who(ctx), record.id)
        return core(record) if ctx.protocol_version == CORE else {}

    async def update(self, ctx: Context, params: Named) -> dict[str, Any]:
        """Tasks ask nothing here, and answers to what was not asked are passed over, as the extension wants it."""
        _only(EXTENDED, ctx)
        await self._record(ctx, params.task_id)
        return {}

    async def _record(self, ctx: Context, id: str) -> Record:
        if ctx.protocol_version == EXTENDED:
            _check_name(ctx, id)
            if not takes(PassingClient(ctx).capabilities):
                raise _missing()
        if ctx.protocol_version not in (CORE, EXTENDED):
            _only(CORE, ctx)
        try:
            return await self._jobs.get(self._who(ctx), id)
        except Trouble:
            raise MCPError(code=types.INVALID_PARAMS, message="you have no task of that id, or it has expired") from None

    def _answer(self, ctx: Context, record: Record) -> dict[str, Any]:
        """What the call would have been answered with.

        Raises:
            MCPError: an error of the protocol.
        """
        outcome = outcome_of(record)
        if outcome is None:
            why = CANCELLED if record.body["status"] == "cancelled" else INTERRUPTED
            answer = types.CallToolResult(content=[types.TextContent(type="text", text=why)], is_error=True)
        else:
            answer = calling.result(self._gateway, record.body["tool"], self._who(ctx), outcome, ctx.protocol_version)
        dumped = answer.model_dump(mode="json", by_alias=True, exclude_none=True)
        return methods.serialize_server_result("tools/call", ctx.protocol_version, dumped)


def supports(tool: Tool) -> bool:
    """Whether a call of `tool` can be a task: not what stands for another request of the protocol, which has none."""
    return PROTOCOL not in tool.tags


def takes(capabilities: Mapping[str, Any]) -> bool:
    """Whether a client with these takes a task for an answer."""
    extensions = capabilities.get("extensions")
    return isinstance(extensions, Mapping) and EXTENSION in extensions


def core(record: Record) -> dict[str, Any]:
    """The task as 2025-11-25 has it."""
    return {**_task(record), "ttl": _kept(record), "pollInterval": POLL}


def extended(record: Record) -> dict[str, Any]:
    """The task as the extension has it, to which a tool that reports an error has completed."""
    task = _task(record)
    status = "completed" if record.body["status"] == "failed" else task["status"]
    return {**task, "status": status, "ttlMs": _kept(record), "pollIntervalMs": POLL}


def _task(record: Record) -> dict[str, Any]:
    body = record.body
    # 2025-11-25: what was cancelled is so before the answer to that, and stays so.
    status = "cancelled" if body.get("cancelling") else STATUS[body["status"]]
    task = {
        "taskId": record.id,
        "status": status,
        "createdAt": stamp(body["created"], "milliseconds"),
        "lastUpdatedAt": stamp(body["updated"], "milliseconds"),
    }
    said = _sentence(record)
    return {**task, "statusMessage": said} if said else task


def _sentence(record: Record) -> str | None:
    match record.body["status"]:
        case "interrupted":
            return INTERRUPTED
        case "failed" if (outcome := outcome_of(record)) is not None and outcome.problem is not None:
            return outcome.problem.message
        case "running":
            said = record.body.get("progress", {}).get("sentence")
            return said if isinstance(said, str) else None
    return None


def _kept(record: Record) -> int | None:
    return None if record.expires is None else round((record.expires - record.body["created"]) * 1000)


def _check_name(ctx: Context, id: str) -> None:
    """Extension, "Routing Headers": over HTTP, `Mcp-Name` names the task. The SDK checks that of its own methods only.

    Raises:
        MCPError: it does not.
    """
    if ctx.request is None:
        return
    names = ctx.request.headers.getlist("mcp-name")
    if len(names) != 1 or decode_header_value(names[0]) != id:
        raise MCPError(code=types.HEADER_MISMATCH, message="the header Mcp-Name has to say what params.taskId does")


def _listens(params: Mapping[str, Any]) -> bool:
    """Whether it wants to hear of tasks. It may, though nothing is told there: who asks gets to know all."""
    notifications = params.get("notifications")
    return isinstance(notifications, Mapping) and "taskIds" in notifications


def _only(version: str, ctx: Context) -> None:
    if ctx.protocol_version != version:
        raise MCPError(code=types.METHOD_NOT_FOUND, message="Method not found", data=ctx.method)


def _missing() -> MCPError:
    wanted: dict[str, Any] = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
    return MCPError(
        code=types.MISSING_REQUIRED_CLIENT_CAPABILITY, message=f"tasks are for clients that declare the extension {EXTENSION}", data=wanted
    )
