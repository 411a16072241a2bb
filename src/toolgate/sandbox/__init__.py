"""Strangers' code on this machine: within namespaces or Landlock, a seccomp filter and limits, or not at all.

`box` has the values, `filter` the system calls, `bubblewrap` and `landlock` the two ways in, `carry` runs and ends, `watch` looks,
`sandbox` chooses the way, `languages` knows interpreters, `battery` attacks it all from inside.
"""
