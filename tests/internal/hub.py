"""A small GitHub with state: one repository, `ada/engine`, and the operations that our own service is made of.

It can be called as the gate is called (`Hub` is as `Gateway.call`), and served over HTTP under the paths of our description
of GitHub (`serve`). What it accepts and refuses follows GitHub's documentation.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Any, Literal

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from toolgate import documents
from toolgate.calls import Call, Outcome, Principal, Problem, Progress, Text

SITE = "https://github.com/ada/engine"
API = "https://api.github.com/repos/ada/engine"
DESCRIPTION = Path(__file__).resolve().parents[2] / "tool-specs" / "github" / "openapi.yaml"

Fault = Literal["refused", "limited", "before", "after"]
"""How one call goes wrong: the gate says no, or not now; it never arrives; or it does, and the answer is lost."""


class Declined(Exception):
    """An answer with an error status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass
class Hub:
    fault: Callable[[int, str], Fault | None] = lambda at, tool: None
    """Asked with the number of the call, from 0, and the tool."""
    offers_links: bool = True
    """Whether there are blockers and sub-issues at all."""
    pause: Callable[[], Awaitable[None]] | None = None
    """Awaited in every call before anything is done, so that others come in between."""
    issues: list[dict[str, Any]] = field(default_factory=list)
    blockers: dict[int, list[int]] = field(default_factory=dict)
    comments: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    patches: list[dict[str, Any]] = field(default_factory=list)
    reviews: list[dict[str, Any]] = field(default_factory=list)
    trees: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)
    commits: dict[str, dict[str, Any]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    assignable: tuple[str, ...] = ("ada", "grace")
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """What was called, by its name without `github_`, and with what."""
    _under_way: Counter[str] = field(default_factory=Counter)
    made_by: list[tuple[Principal, Call | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.refs["main"] = self._commit(self._tree({"README.md": ("100644", "# Engine\n")}), [])

    def writes(self) -> list[str]:
        """The tools called that change something."""
        return [tool for tool, _ in self.calls if not tool.startswith(("list_", "get_"))]

    # As the gate

    async def __call__(
        self,
        name: str,
        arguments: Mapping[str, Any],
        principal: Principal,
        *,
        parent: Call | None = None,
        id: str | None = None,
        progress: Progress | None = None,
    ) -> Outcome:
        tool = name.removeprefix("github_")
        at = len(self.calls)
        self.calls.append((tool, dict(arguments)))
        self.made_by.append((principal, parent))
        self._under_way[tool] += 1
        alone = self._under_way[tool] == 1
        if self.pause is not None:
            await self.pause()
        self._under_way[tool] -= 1
        fault = self.fault(at, tool)
        if fault == "refused":
            problem = Problem("not_permitted", f"{principal.id} may not call {name}", details={"rule": "default"})
            return Outcome(problem=problem, refused=True, effect="none")
        if fault == "limited":
            return Outcome(problem=Problem("limit_reached", "60 calls per 60 s are used up", 15.0), refused=True, effect="none")
        if fault == "before":
            return Outcome(problem=Problem("unreachable", "nobody answered"), effect="none")
        outcome = self._outcome(tool, arguments) if alone or tool != "add_sub_issue" else _declined(422, "Priority has already been taken")
        if fault == "after" and outcome.ok:
            return Outcome(problem=Problem("timed_out", "did not answer in time"), effect="unknown")
        return outcome

    def _outcome(self, tool: str, arguments: Mapping[str, Any]) -> Outcome:
        try:
            answer = self.answer(tool, arguments)
        except Declined as declined:
            return _declined(declined.status, declined.message)
        return Outcome((Text("an answer"),), answer, meta={"status": 200})

    # As GitHub

    def answer(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        """Raises Declined."""
        if (arguments["owner"], arguments["repo"]) != ("ada", "engine"):
            raise Declined(404, "Not Found")
        found: Any = getattr(self, f"do_{tool}")(**{name: value for name, value in arguments.items() if name not in ("owner", "repo")})
        return found

    def do_get_repository(self) -> Any:
        return {"full_name": "ada/engine", "default_branch": "main"}

    def do_list_issues(
        self, *, state: str, sort: str, direction: str, per_page: int, page: int, labels: str = "", assignee: str = "", milestone: str = ""
    ) -> Any:
        wanted = set(filter(None, labels.split(",")))
        found = [
            issue
            for issue in self.issues
            if state in ("all", issue["state"])
            and wanted <= {label["name"] for label in issue["labels"]}
            and (not assignee or assignee in [user["login"] for user in issue["assignees"]])
            and (not milestone or milestone == str((issue["milestone"] or {}).get("number")))
        ]
        key = {"created": "number", "updated": "updated_at"}[sort]
        found.sort(key=lambda issue: issue[key], reverse=direction == "desc")
        return found[(page - 1) * per_page : page * per_page]

    def do_get_issue(self, *, issue_number: int) -> Any:
        return dict(self._issue(issue_number))

    def do_create_issue(
        self,
        *,
        title: str,
        body: str = "",
        labels: list[str] | None = None,
        assignees: list[str] | None = None,
        milestone: int | None = None,
    ) -> Any:
        number = len(self.issues) + 1
        issue = {
            "number": number,
            "id": 1000 + number,
            "html_url": f"{SITE}/issues/{number}",
            "title": title,
            "body": body,
            "state": "open",
            "labels": [{"name": name} for name in labels or []],
            "assignees": [{"login": login} for login in assignees or [] if login in self.assignable],
            "milestone": {"number": milestone, "title": f"M{milestone}"} if milestone else None,
            "comments": 0,
            "updated_at": f"2026-11-20T09:{number // 60:02}:{number % 60:02}Z",
        }
        self.issues.append(issue)
        return dict(issue)

    def do_update_issue(self, *, issue_number: int, **changes: Any) -> Any:
        issue = self._issue(issue_number)
        changes.pop("state_reason", None)
        if "labels" in changes:
            changes["labels"] = [{"name": name} for name in changes["labels"]]
        if "assignees" in changes:
            changes["assignees"] = [{"login": login} for login in changes["assignees"] if login in self.assignable]
        if "milestone" in changes:
            changes["milestone"] = {"number": changes["milestone"]} if changes["milestone"] else None
        issue |= changes
        return dict(issue)

    def do_list_issue_blockers(self, *, issue_number: int, per_page: int, page: int) -> Any:
        self._offered()
        return [dict(self._issue(number)) for number in self.blockers.get(issue_number, [])][(page - 1) * per_page : page * per_page]

    def do_add_issue_blocker(self, *, issue_number: int, issue_id: int) -> Any:
        self._offered()
        standing = self.blockers.setdefault(issue_number, [])
        if issue_id - 1000 in standing:
            raise Declined(422, "Target issue has already been taken")
        standing.append(self._issue(issue_id - 1000)["number"])
        return dict(self._issue(issue_number))

    def do_add_sub_issue(self, *, issue_number: int, sub_issue_id: int) -> Any:
        self._offered()
        child = self._issue(sub_issue_id - 1000)
        if child.get("parent_issue_url"):
            raise Declined(422, "Sub issue may only have one parent")
        child["parent_issue_url"] = f"{API}/issues/{self._issue(issue_number)['number']}"
        return dict(self._issue(issue_number))

    def do_list_issue_comments(self, *, issue_number: int, per_page: int, page: int) -> Any:
        found = [comment for number, comment in self.comments if number == issue_number]
        return found[(page - 1) * per_page : page * per_page]

    def do_add_issue_comment(self, *, issue_number: int, body: str) -> Any:
        url = f"{self._issue(issue_number)['html_url']}#issuecomment-{901 + len(self.comments)}"
        self.comments.append((issue_number, {"body": body, "html_url": url}))
        return self.comments[-1][1]

    def do_get_branch(self, *, branch: str) -> Any:
        if branch not in self.refs:
            raise Declined(404, "Branch not found")
        sha = self.refs[branch]
        return {"name": branch, "commit": {"sha": sha, "commit": {"tree": {"sha": self.commits[sha]["tree"]}}}}

    def do_get_file_contents(self, *, path: str, ref: str) -> Any:
        files = self.files(ref)
        if path in files:
            return {"path": path, "type": "file"}
        below = [name for name in files if name.startswith(f"{path}/")]
        if not below:
            raise Declined(404, "Not Found")
        return [{"path": name} for name in below]

    def do_create_tree(self, *, base_tree: str, tree: list[dict[str, Any]]) -> Any:
        files = dict(self.trees[base_tree])
        for entry in tree:
            if "content" in entry:
                files[entry["path"]] = (entry["mode"], entry["content"])
            elif files.pop(entry["path"], None) is None:
                raise Declined(422, "GitRPC::BadObjectState")
        return {"sha": self._tree(files)}

    def do_create_commit(self, *, message: str, tree: str, parents: list[str]) -> Any:
        return {"sha": self._commit(tree, parents, message)}

    def do_create_ref(self, *, ref: str, sha: str) -> Any:
        name = ref.removeprefix("refs/heads/")
        if any(other == name or other.startswith(f"{name}/") or name.startswith(f"{other}/") for other in self.refs):
            raise Declined(422, "Reference already exists")
        self.refs[name] = sha
        return {"ref": ref}

    def do_update_ref(self, *, ref: str, sha: str) -> Any:
        name = ref.removeprefix("heads/")
        if self.refs[name] not in self.commits[sha]["parents"]:
            raise Declined(422, "Update is not a fast forward")
        self.refs[name] = sha
        return {"ref": ref}

    def do_list_pull_requests(self, *, state: str, head: str, base: str, per_page: int, page: int) -> Any:
        return [
            dict(pull)
            for pull in self.pulls.values()
            if (pull["state"], f"ada:{pull['head']['ref']}", pull["base"]["ref"]) == (state, head, base)
        ]

    def do_create_pull_request(self, *, title: str, head: str, base: str, body: str = "", draft: bool = False) -> Any:
        if self.refs[head] == self.refs[base]:
            raise Declined(422, f"No commits between {base} and {head}")
        if self.do_list_pull_requests(state="open", head=f"ada:{head}", base=base, per_page=1, page=1):
            raise Declined(422, "A pull request already exists")
        number = self.do_create_issue(title=title, body=body)["number"]
        self._issue(number)["pull_request"] = {"url": "a pull request"}
        self.pulls[number] = {
            **self._issue(number),
            "html_url": f"{SITE}/pull/{number}",
            "draft": draft,
            "head": {"ref": head, "sha": self.refs[head]},
            "base": {"ref": base},
            "requested_reviewers": [],
        }
        return dict(self.pulls[number])

    def do_get_pull_request(self, *, pull_number: int) -> Any:
        if pull_number not in self.pulls:
            raise Declined(404, "Not Found")
        return dict(self.pulls[pull_number])

    def do_update_pull_request(self, *, pull_number: int, body: str) -> Any:
        self.pulls[pull_number]["body"] = body
        return dict(self.pulls[pull_number])

    def do_add_issue_labels(self, *, issue_number: int, labels: list[str]) -> Any:
        self.pulls[issue_number]["labels"] += [{"name": name} for name in labels]
        return self.pulls[issue_number]["labels"]

    def do_add_issue_assignees(self, *, issue_number: int, assignees: list[str]) -> Any:
        self.pulls[issue_number]["assignees"] += [{"login": login} for login in assignees if login in self.assignable]
        return dict(self.pulls[issue_number])

    def do_request_pull_request_reviewers(self, *, pull_number: int, reviewers: list[str]) -> Any:
        if strangers := [login for login in reviewers if login not in self.assignable]:
            raise Declined(422, f"Reviews may only be requested from collaborators: {strangers}")
        self.pulls[pull_number]["requested_reviewers"] += [{"login": login} for login in reviewers]
        return dict(self.pulls[pull_number])

    def do_list_pull_request_files(self, *, pull_number: int, per_page: int, page: int) -> Any:
        return self.patches[(page - 1) * per_page : page * per_page]

    def do_list_pull_request_reviews(self, *, pull_number: int, per_page: int, page: int) -> Any:
        return [review for review in self.reviews if review["pull"] == pull_number][(page - 1) * per_page : page * per_page]

    def do_create_pull_request_review(
        self, *, pull_number: int, commit_id: str, event: str, body: str, comments: list[dict[str, Any]] | None = None
    ) -> Any:
        for comment in comments or []:
            if not any(patch["filename"] == comment["path"] and "patch" in patch for patch in self.patches):
                raise Declined(422, "Path could not be resolved")
            if "unresolvable" in comment["body"]:
                raise Declined(422, "Line could not be resolved")
        number = 80 + len(self.reviews)
        self.reviews.append(
            {
                "id": number,
                "pull": pull_number,
                "html_url": f"{SITE}/pull/{pull_number}#pullrequestreview-{number}",
                "commit_id": commit_id,
                "state": event,
                "body": body,
                "comments": comments or [],
                "user": {"login": "ada"},
            }
        )
        return dict(self.reviews[-1])

    # Its state

    def files(self, ref: str) -> dict[str, tuple[str, str]]:
        """Mode and content of every file at a branch or commit."""
        return self.trees[self.commits[self.refs.get(ref, ref)]["tree"]]

    def history(self, branch: str) -> Iterator[str]:
        """Messages from the newest commit on."""
        sha: str | None = self.refs[branch]
        while sha is not None:
            yield self.commits[sha]["message"]
            sha = next(iter(self.commits[sha]["parents"]), None)

    def _issue(self, number: int) -> dict[str, Any]:
        if not 0 < number <= len(self.issues):
            raise Declined(404, "Not Found")
        return self.issues[number - 1]

    def _offered(self) -> None:
        if not self.offers_links:
            raise Declined(404, "Not Found")

    def _tree(self, files: dict[str, tuple[str, str]]) -> str:
        sha = sha1(repr(sorted(files.items())).encode(), usedforsecurity=False).hexdigest()
        self.trees[sha] = files
        return sha

    def _commit(self, tree: str, parents: list[str], message: str = "The beginning") -> str:
        sha = sha1(f"{len(self.commits)} {tree}".encode(), usedforsecurity=False).hexdigest()
        self.commits[sha] = {"tree": tree, "parents": parents, "message": message}
        return sha

    # Over HTTP

    def app(self) -> Starlette:
        """The same over HTTP, where the description of GitHub says."""
        return Starlette(routes=[self._route(tool, method, path) for tool, method, path in operations() if hasattr(self, f"do_{tool}")])

    def _route(self, tool: str, method: str, path: str) -> Route:
        async def endpoint(request: Request) -> Response:
            sent = await request.json() if method in ("POST", "PATCH") else dict(request.query_params)
            arguments = {name: _number(name, value) for name, value in {**request.path_params, **sent}.items()}
            self.calls.append((tool, arguments))
            try:
                return JSONResponse(self.answer(tool, arguments))
            except Declined as declined:
                return JSONResponse({"message": declined.message}, declined.status)

        return Route(path.replace("{ref}", "{ref:path}").replace("{path}", "{path:path}"), endpoint, methods=[method])


def _declined(status: int, message: str) -> Outcome:
    problem = Problem("upstream_failed", f"was answered with {status}: {message}", details={"status": status})
    return Outcome(problem=problem, effect="none")


def _number(name: str, value: Any) -> Any:
    return int(value) if name in ("per_page", "page") or name.endswith("_number") else value


@cache
def operations() -> tuple[tuple[str, str, str], ...]:
    """Name, method and path of every operation of our description of GitHub."""
    document: Mapping[str, Any] = documents.parse(DESCRIPTION.read_bytes(), name="openapi.yaml")
    methods = ("get", "put", "post", "patch", "delete")
    pairs = itertools.product(document["paths"].items(), methods)
    return tuple((item[method]["operationId"], method.upper(), path) for (path, item), method in pairs if method in item)
