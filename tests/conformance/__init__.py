"""`make conformance`: the official suite's scenarios that an OpenAPI service can answer, and the MCP Inspector's command line.

Not part of `make test`: the suite and the Inspector need Node 22, which npm brings, and take some 300 MB.
"""
