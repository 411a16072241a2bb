"""OAuth 2.1 as its client: who may give us tokens for a server, and how one is asked for. Nothing is kept here.

    server ──RFC 9728──▶ resource metadata ──▶ issuer ──RFC 8414 / OIDC──▶ server metadata ──▶ authorize, token
    (metadata.py reads, discover.py fetches)                              (flow.py makes requests and reads answers)

Whatever a server says of itself is a claim. A document counts only where its place says it must be, endpoints are reached by
the guarded way out alone, and everything that is secret belongs to one issuer and is shown to no other.
"""
