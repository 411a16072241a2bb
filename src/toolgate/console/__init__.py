"""The web console: a page of static ES modules over `/v1`."""
