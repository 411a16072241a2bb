"""What classes of characters cost in tokens, by family of tokenizer: the table of `count`, fitted, not chosen.

Fitted by least squares of the relative error to the counts of the families' own tokenizers (o200k; Anthropic's published one, times 1.1
for models since; Gemini's, Mistral's tekken, DeepSeek V3's, Llama 3.1's, Qwen 3's) over some 1,900 texts: prompts, descriptions and schemas
of tools, JSON, code, Markdown, logs, identifiers, and prose in thirty languages.
"""

from __future__ import annotations

FAMILIES = ("openai", "anthropic", "google", "mistral", "deepseek", "llama", "qwen")

CLASSES = {
    "a": "abcdefghijklmnopqrstuvwxyz",
    "A": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "0": "0123456789",
    "n": "\n",
    "s": " \t\r\v\f",
}
"""Of ASCII; the rest of it is `.`."""

LEADS = (
    (0xC0, "-"),
    (0xCA, "l"),
    (0xCC, "-"),
    (0xCE, "z"),
    (0xD0, "g"),
    (0xD5, "c"),
    (0xE0, "h"),
    (0xE1, "i"),
    (0xE2, "v"),
    (0xE3, "p"),
    (0xE4, "k"),
    (0xEA, "H"),
    (0xEE, "K"),
    (0xF0, "p"),
    (0x100, "e"),
)
"""Of other characters, by the first byte in UTF-8: up to each bound, the class. Latin, combining marks, Greek, Cyrillic, Hebrew and Arabic,
Indic and Thai, further Latin, punctuation, kana, Han, Hangul, emoji; `-` is every further byte."""

WEIGHTS: dict[str, tuple[int, ...]] = {
    "a": (18, 3, -4, 28, 30, 18, 20),
    "aaaaaa": (21, 82, 49, 27, -14, 11, -4),
    "sa": (1215, 1582, 1229, 1121, 1157, 1246, 1205),
    "na": (1834, 3141, 1746, 2362, 2646, 1719, 1625),
    ".a": (645, 1342, 1167, 731, 766, 710, 727),
    "0a": (722, 1204, 925, 866, 920, 823, 780),
    "A": (922, 1121, 720, 871, 993, 1001, 1071),
    "Aa": (386, 558, 523, 397, 283, 294, 196),
    "aA": (460, 184, 16, 321, 479, 465, 402),
    "AA": (-1403, -1689, -972, -917, -1361, -1585, -1751),
    "0": (201, 318, 976, 934, 237, 212, 943),
    "s0": (2369, 1514, 1338, 1800, 2099, 2335, 1738),
    "n0": (555, 199, -1015, 214, 786, 346, -110),
    "a0": (1137, 673, 232, 429, 842, 997, 448),
    "A0": (1652, 2060, 1806, 1389, 1632, 2022, 1655),
    ".0": (952, 718, 189, 278, 696, 939, 368),
    ".": (735, 1015, 919, 741, 846, 761, 737),
    "..": (-849, -1768, -1462, -866, -1096, -1023, -973),
    "s.": (977, 914, 527, 720, 693, 967, 900),
    "n": (1172, 1510, 1521, 1045, 873, 1104, 1051),
    "nn": (-2415, -2373, -2469, -2358, -2098, -2397, -2131),
    "s": (-289, -512, -214, -226, -272, -307, -272),
    "ss": (632, 1072, 476, 505, 574, 654, 578),
    "ns": (-589, -945, 282, -159, -34, -484, -340),
    "l": (1891, 4012, 1635, 1813, 2425, 2566, 2272),
    "g": (474, 1581, 422, 506, 332, 300, 513),
    "c": (337, 764, 262, 371, 142, 200, -72),
    "h": (500, 1362, 443, 547, 261, 506, -122),
    "i": (430, 2107, 438, 505, 360, 475, 540),
    "v": (4981, 4372, 4316, 5875, 6173, 6050, 4352),
    "p": (687, 90, 721, 781, 564, 346, 382),
    "k": (1024, 1429, 524, 630, 729, 745, 802),
    "H": (713, 1049, 642, 1010, 584, 789, 614),
    "K": (878, 1850, 844, 802, 498, 527, -110),
    "e": (466, 817, -117, 378, -37, 530, 351),
    "z": (718, -202, 172, 1812, 289, -377, -2675),
    "-s": (-92, -152, 273, -222, 1470, 1154, 3405),
}
"""Thousandths of a token for each time the classes stand like this in a text, counted without overlap; a column a family."""
