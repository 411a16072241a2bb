"""The MCP face: what listens, who is asking, and the protocol's own terms around the gate. Importing it loads nothing."""

DRAINING = "draining"
"""In the state of each request: an event that is set once the server has been told to stop."""

WHOLE = "whole"
"""In the state of a request whose body is here to its end already: the body, for which nobody has to wait."""

ANSWER = "toolgate.answer"
"""Among the extensions of a request: sends a whole answer at once, 200 and JSON with the safe headers; or says False and sends nothing."""
