"""How many tokens a prompt will have, before it is sent: a linear count over classes of characters, corrected by what came of earlier ones.

A real tokenizer for each provider would be many megabytes and is not to be had for most of them. What all of them share: a word costs
about one token and long words more, a run of digits one for every three, a symbol one, other scripts so much a character.
"""

from __future__ import annotations
