"""`make compare`: this gateway beside others, the same call, one core each, in one run. Nothing here asserts.

The call is `rest` of `tests.bench`: one `tools/call` that makes one `GET` whose answer has about 1,000 bytes. What each peer is
given and what it leaves out stands in `peers`; `floor` is what such a call costs where nothing is checked at all.
"""
