from __future__ import annotations

import httpx2

from toolgate.standin import REPOSITORY, GitHub, serving


async def test_it_answers_like_github_remembers_issues_and_tells_what_it_heard() -> None:
    heard: list[tuple[str, str]] = []
    async with (
        serving(GitHub().app(lambda method, target: heard.append((method, target)))) as url,
        httpx2.AsyncClient(base_url=url) as http,
    ):
        created = await http.post(f"{REPOSITORY}/issues", json={"title": "Paint it", "labels": ["paperwork"]})
        found = await http.get(f"{REPOSITORY}/issues", params={"labels": "paperwork", "state": "open"})
        one = await http.get(f"{REPOSITORY}/issues/3")
        missing = await http.get("/repos/acme/other")

    assert (created.status_code, created.json()["number"]) == (201, 3)
    assert found.json() == [created.json()] == [one.json()]
    assert (missing.status_code, missing.json()["message"]) == (404, "Not Found")
    assert heard == [
        ("POST", f"{REPOSITORY}/issues"),
        ("GET", f"{REPOSITORY}/issues?labels=paperwork&state=open"),
        ("GET", f"{REPOSITORY}/issues/3"),
        ("GET", "/repos/acme/other"),
    ]


async def test_what_github_would_refuse_is_refused() -> None:
    async with serving(GitHub().app(lambda method, target: None)) as url, httpx2.AsyncClient(base_url=url) as http:
        statuses = [
            (await http.post(f"{REPOSITORY}/issues", json={"body": "no title"})).status_code,
            (await http.get(f"{REPOSITORY}/issues/99")).status_code,
            (await http.get(f"{REPOSITORY}/contents/missing.txt")).status_code,
            (await http.get(REPOSITORY)).status_code,
            (await http.get(f"{REPOSITORY}/readme")).status_code,
        ]

    assert statuses == [422, 404, 404, 200, 200]
