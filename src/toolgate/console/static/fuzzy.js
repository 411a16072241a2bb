// Ranks tools by what somebody types. Pure: no page, no request.

/**
 * @typedef {{name: string, title: string | null, description: string, integration: string, category: string | null,
 *   request: string | null, effect: "read" | "write" | "destroy", price: {usd: string, micros: number, estimated: boolean} | null}} Tool
 * @typedef {{tool: Tool, name: string, title: string, rest: string}} Entry what is looked through, in lower case
 */

const MANY = 20; // rows; more than a palette has in sight, and each takes its part of the time to paint what a key found

/** @param {Tool[]} tools @returns {Entry[]} */
export function indexed(tools) {
  return tools.map((tool) => ({
    tool,
    name: tool.name.toLowerCase().replaceAll("-", "_"),
    title: (tool.title ?? "").toLowerCase(),
    rest: `${tool.request ?? ""} ${tool.integration} ${tool.category ?? ""}`.toLowerCase(),
  }));
}

/**
 * Finds the best tools for a query, best first: every word must be found. Whoever types on asks the same one again, which
 * then looks only through what had fitted: what a longer query finds, its beginning finds too.
 * @param {Entry[]} entries
 * @returns {(query: string, most?: number) => Tool[]}
 */
export function searcher(entries) {
  let asked = "";
  let fitting = entries;
  return (query, most = MANY) => {
    const now = query.toLowerCase().replaceAll("-", "_");
    const words = now.split(/\s+/).filter(Boolean);
    const among = now.startsWith(asked) ? fitting : entries;
    asked = now;
    if (!words.length) {
      fitting = entries;
      return entries.slice(0, most).map(({ tool }) => tool);
    }
    const found = [];
    for (const entry of among) {
      const points = score(words, entry);
      if (points > 0) found.push([points, entry]);
    }
    fitting = found.map(([, entry]) => entry);
    // Of two that fit alike the shorter name is the plainer operation.
    found.sort((one, other) => other[0] - one[0] || one[1].name.length - other[1].name.length);
    return found.slice(0, most).map(([, { tool }]) => tool);
  };
}

/** How well `entry` fits; 0: some word is nowhere in it. */
function score(words, entry) {
  let total = 0;
  for (const word of words) {
    const points = Math.max(
      4 * inside(entry.name, word),
      3 * inside(entry.title, word),
      inside(entry.rest, word),
      scattered(entry.name, word),
    );
    if (points === 0) return 0;
    total += points;
  }
  return total;
}

/** From 100 at the very beginning; a word that begins inside another is worth half. */
function inside(text, word) {
  const at = text.indexOf(word);
  if (at < 0) return 0;
  const early = 100 - Math.min(at, 60);
  return at === 0 || /[\s_/.]/.test(text[at - 1]) ? early : early / 2;
}

/** Whether the letters come in this order: `ghci` finds `github_create_issue`. */
function scattered(text, word) {
  let at = -1;
  for (const letter of word) {
    at = text.indexOf(letter, at + 1);
    if (at < 0) return 0;
  }
  return 5;
}
