"""What the operator wrote for models, prompts and skills: read again when their folders change, as the policy is.

A folder that cannot be used any more leaves what was read before.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio

from toolgate.calls import Tool
from toolgate.errors import Misconfigured
from toolgate.policy.live import Stamp, stamp
from toolgate.prompts import read_prompts, tool_of
from toolgate.skills import Skill, read_skills, tools_of

log = logging.getLogger("toolgate")

Changed = Callable[[], None]


class Written:
    def __init__(self, prompts: Path | None, skills: Path | None) -> None:
        """
        Args:
            prompts, skills: their folders; None: there are none.

        Raises:
            Misconfigured: a folder cannot be read, or holds what is none; the message says which file.
        """
        self._prompts = prompts
        self._skills = skills
        self.allowed: dict[str, tuple[str, ...]] = {}
        """By a skill's name, globs of the tools that may be called while it is followed. It stays the same mapping."""
        self.tools: Sequence[Tool] = ()
        self.changed: Changed = lambda: None
        """Called once `tools` are others."""
        self._done = self._seen = self._stamp()
        self._take(*self._read())

    async def look(self) -> None:
        """Take over what has changed, once it has settled."""
        now = self._stamp()
        settled, self._seen = now == self._seen, now
        if not settled or now == self._done:
            return
        self._done = now
        try:
            read = await anyio.to_thread.run_sync(self._read)
        except (Misconfigured, OSError) as error:
            log.warning("prompts and skills stay as they were: %s", error)
            return
        if self._stamp() != now:  # they were changed while they were read
            self._done = ()
            return
        self._take(*read)
        self.changed()

    def _stamp(self) -> Stamp:
        return tuple(each for folder in (self._prompts, self._skills) if folder for each in stamp(folder, "**/*.md"))

    def _read(self) -> tuple[Sequence[Tool], Sequence[Skill]]:
        skills = read_skills(self._skills) if self._skills else ()
        prompts = read_prompts(self._prompts) if self._prompts else ()
        return [*map(tool_of, prompts), *tools_of(skills)], skills

    def _take(self, tools: Sequence[Tool], skills: Sequence[Skill]) -> None:
        self.tools = tools
        self.allowed.clear()
        self.allowed.update({skill.name: skill.tools for skill in skills})
