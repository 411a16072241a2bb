"""From an OpenAPI description to tools: read, resolve, convert (pure), then execute (network)."""
