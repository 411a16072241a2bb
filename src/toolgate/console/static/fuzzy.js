// Ranks tools by what somebody types. Pure: no page, no request.

/**
 * @typedef {{name: string, title: string | null, description: string, integration: string, category: string | null,
 *   request: string | null, effect: "read" | "write" | "destroy", price: {usd: string, micros: number, estimated: boolean} | null}} Tool
 * @typedef {{tool: Tool, name: string, title: string, rest: string}} Entry what is looked through, in lower case
 */

const MANY = 40; // rows; a list of all 1,223 takes ten times as long to paint

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
 * The best tools for `query`, best first: every word must be found.
 * @param {Entry[]} entries @param {string} query
 * @returns {Tool[]}
 */
export function search(entries, query, most = MANY) {
  const words = query.toLowerCase().replaceAll("-", "_").split(/\s+/).filter(Boolean);
  if (!words.length) return entries.slice(0, most).map(({ tool }) => tool);
  const found = [];
  for (const entry of entries) {
    const points = score(words, entry);
    if (points > 0) found.push([points, entry.tool]);
  }
  // Of two that fit alike the shorter name is the plainer operation.
  found.sort((one, other) => other[0] - one[0] || one[1].name.length - other[1].name.length);
  return found.slice(0, most).map(([, tool]) => tool);
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
