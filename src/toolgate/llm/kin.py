"""What is known of a model by the family in its name, where nobody says more: window, longest reply, pictures, and how good it may be.

Windows and replies are those of the providers' pages, autumn 2026, as genai-prices 0.2.3 and litellm 1.110's table of models have them. Of
names with a vendor before a slash (`anthropic/claude-sonnet-4.5`) and of dated ones the family counts. Qualities are guesses on the scale
of `known`.
"""

from __future__ import annotations

import re

from toolgate.llm.known import BIG, SMALL, Known

K = 1024
GPT, CLAUDE = {"vision": True, "strict": True}, {"vision": True, "strict": True}

KIN = tuple(
    (re.compile(rf"(?:^|[/~]){pattern}", re.IGNORECASE), known)
    for pattern, known in (
        (r"gpt-(6|5\.[56])[.\d]*-(nano|mini|luna)", Known(BIG, 128_000, 0.74, **GPT)),
        (r"gpt-(6|5\.[56])", Known(BIG, 128_000, 0.84, **GPT)),
        (r"gpt-5[.\d]*-nano", Known(SMALL, 128_000, 0.62, **GPT)),
        (r"gpt-5[.\d]*-mini", Known(SMALL, 128_000, 0.7, **GPT)),
        (r"gpt-5\.3", Known(128_000, 16_384, 0.8, **GPT)),
        (r"gpt-5\.4", Known(BIG, 128_000, 0.82, **GPT)),
        (r"gpt-5", Known(SMALL, 128_000, 0.8, **GPT)),
        (r"gpt-4\.1-nano", Known(1_047_576, 32_768, 0.55, **GPT)),
        (r"gpt-4\.1-mini", Known(1_047_576, 32_768, 0.64, **GPT)),
        (r"gpt-4\.1", Known(1_047_576, 32_768, 0.72, **GPT)),
        (r"(gpt-4o|chatgpt-4o)-mini", Known(128_000, 16_384, 0.62, **GPT)),
        (r"(gpt-4o|chatgpt-4o)", Known(128_000, 16_384, 0.7, **GPT)),
        (r"gpt-4-turbo", Known(128_000, 4_096, 0.66, vision=True)),
        (r"gpt-4", Known(8_192, 4_096, 0.62)),
        (r"gpt-3\.5", Known(16_385, 4_096, 0.45)),
        (r"o3-mini", Known(200_000, 100_000, 0.68, strict=True)),
        (r"o4-mini", Known(200_000, 100_000, 0.72, **GPT)),
        (r"o1-(mini|preview)", Known(128_000, 32_768, 0.68)),
        (r"o[13]", Known(200_000, 100_000, 0.77, **GPT)),
        (r"gpt-oss-120b", Known(131_072, 65_536, 0.7)),
        (r"gpt-oss", Known(131_072, 65_536, 0.62)),
        (r"claude-3-haiku", Known(200_000, 4_096, 0.5, vision=True)),
        (r"claude-(3[-.]5-haiku|haiku-3)", Known(200_000, 8_192, 0.62, vision=True)),
        (r"claude-3[-.][57]", Known(200_000, 8_192, 0.74, vision=True)),
        (r"claude-3", Known(200_000, 4_096, 0.66, vision=True)),
        (r"claude-haiku-4", Known(200_000, 64_000, 0.72, **CLAUDE)),
        (r"claude-haiku", Known(1_000_000, 64_000, 0.76, **CLAUDE)),
        (r"claude-(sonnet-4[-.]6|sonnet-[5-9])", Known(1_000_000, 64_000, 0.84, **CLAUDE)),
        (r"claude-sonnet-4[-.]5", Known(200_000, 64_000, 0.82, **CLAUDE)),
        (r"claude-(opus-4[-.][6-9]|opus-[5-9])", Known(1_000_000, 64_000, 0.88, **CLAUDE)),
        (r"claude-opus-4[-.]5", Known(200_000, 64_000, 0.86, **CLAUDE)),
        (r"claude-opus-4", Known(200_000, 32_000, 0.82, vision=True)),
        (r"claude", Known(200_000, 64_000, 0.78, vision=True)),
        (r"gemini-[\d.]+-pro", Known(1_048_576, 65_536, 0.8, vision=True)),
        (r"gemini", Known(1_048_576, 65_536, 0.7, vision=True)),
        (r"gemma-?[34]", Known(131_072, 8_192, 0.5, vision=True)),
        (r"mistral-large-4", Known(1024 * K, 32_768, 0.82, vision=True, strict=True)),
        (r"mistral-large", Known(256 * K, 32_768, 0.76, vision=True, strict=True)),
        (r"(mistral|magistral)-medium", Known(256 * K, 32_768, 0.74, vision=True, strict=True)),
        (r"mistral-small-26", Known(256 * K, 32_768, 0.66, vision=True, strict=True)),
        (r"(mistral|magistral)-small", Known(128 * K, 32_768, 0.64, vision=True, strict=True)),
        (r"devstral", Known(256_000, 32_768, 0.66, strict=True)),
        (r"codestral", Known(128_000, 32_768, 0.62, strict=True)),
        (r"ministral", Known(128 * K, 32_768, 0.52, vision=True, strict=True)),
        (r"(open-)?mi(s|x)tral", Known(32 * K, 8_192, 0.42)),
        (r"command-a", Known(256_000, 8_000, 0.68)),
        (r"command-r", Known(128_000, 4_096, 0.5)),
        (r"deepseek-(r1|reasoner)", Known(131_072, 65_536, 0.74)),
        (r"deepseek-v4", Known(1_000_000, 32_768, 0.76)),
        (r"deepseek", Known(131_072, 8_192, 0.7)),
        (r"(meta-)?llama-?4", Known(131_072, 8_192, 0.6, vision=True)),
        (r"(meta-)?llama-?3\.[123].{0,3}(70|90|405)b", Known(131_072, 8_192, 0.62)),
        (r"(meta-)?llama", Known(131_072, 8_192, 0.42)),
        (r"(qwen3-(max|coder|235b)|qwen3\.[5-9])", Known(262_144, 32_768, 0.72)),
        (r"(qwen|qwq)", Known(131_072, 8_192, 0.56)),
        (r"kimi-k[23]", Known(262_144, 32_768, 0.74)),
        (r"glm-[45]", Known(131_072, 32_768, 0.7)),
        (r"grok-[34]", Known(131_072, 32_768, 0.76, vision=True)),
    )
)
"""From the top; the first that fits counts."""


def kin(name: str) -> Known | None:
    """What is known of models of that name; None: nothing, so that the usual holds."""
    return next((known for pattern, known in KIN if pattern.search(name)), None)
