"""Toolgate: OpenAPI descriptions and MCP servers become tools behind one gate."""

__version__ = "0.1.0"
