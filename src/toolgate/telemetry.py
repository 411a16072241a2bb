"""OpenTelemetry names in one place, after its semantic conventions for generative AI and MCP."""

from __future__ import annotations

OPERATION = "gen_ai.operation.name"
TOOL = "gen_ai.tool.name"
CALL_ID = "gen_ai.tool.call.id"
INTEGRATION = "toolgate.integration"
PRINCIPAL = "toolgate.principal"
DEPTH = "toolgate.depth"
PROBLEM = "error.type"
LIMITS_LOCAL = "toolgate.limits.local"
