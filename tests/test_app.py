"""The whole application, opened."""

from __future__ import annotations

import shutil
from pathlib import Path

import anyio

from toolgate.app import open_app
from toolgate.server.identify import local
from toolgate.settings import Settings, bundled

SHUT = "role: developer\npermissions: [{id: dev.shut, tools: '*', effect: deny}]"


async def test_a_changed_policy_is_in_force_without_a_restart_and_written_down(tmp_path: Path) -> None:
    policies = tmp_path / "policies"
    shutil.copytree(bundled("policies"), policies)
    shutil.rmtree(policies / "tests")
    settings = Settings(policies=policies, policy_shadow=bundled("policies"), integrations=("internal",), store="memory", data_dir=tmp_path)

    async with open_app(settings) as app:
        caller = local(settings.stdio, "terminal")
        before = app.gateway.live.current
        assert app.gateway.visible(caller)
        (policies / "roles" / "developer.yaml").write_text(SHUT)
        with anyio.fail_after(60):
            while app.gateway.live.current is before:
                await anyio.sleep(0.05)

        assert not app.gateway.visible(caller)
        [changed, *_] = [entry.body for entry in await app.stores.journal.read("audit") if entry.body["type"] == "policy.changed"]
        assert changed["details"] == {"digest": app.gateway.live.current.digest, "before": before.digest}
        assert app.gateway.live.candidate is not None
