"""The proof of what happened: events, what they may hold, and how nobody can change one unseen.

    call ──▶ event (who, tool, decision, money, result)          event.py
               │  secrets taken out, one line, escaped            redact.py, line.py
               ▼
    journal: record n = (n, time, line, hash(record n-1 + n))    chain.py      an edit breaks the chain from there on
               │  every so many records or seconds
               ▼
    checkpoint = signed root of a tree over all record hashes    checkpoint.py  kept elsewhere: a cut-off end is seen

Everything here is pure; `stores` writes and reads, `gateway` decides when.
"""
