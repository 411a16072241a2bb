"""`make bench`: CPU seconds, memory and sizes, each in a process of its own. Nothing here asserts; docs/performance.md says the goals."""
