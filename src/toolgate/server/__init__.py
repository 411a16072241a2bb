"""The MCP face: what listens, who is asking, and the protocol's own terms around the gate. Importing it loads nothing."""

DRAINING = "draining"
"""In the state of each request: an event that is set once the server has been told to stop."""
