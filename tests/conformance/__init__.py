"""`make conformance`: the official suite in front of the gateway and behind it, and the MCP Inspector's command line.

Not part of `make test`: the suite, the Inspector and the reference server come from npm, some 150 MB.
"""
