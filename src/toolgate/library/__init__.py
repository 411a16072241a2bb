"""Folders of documents that the operator names, cut into passages and found by words.

`text` reads a file, `passages` cuts it, `shelf` keeps and finds.
"""
