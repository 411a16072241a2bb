// The list that one types into: on the tools' page, and in the palette over every page.
import { searcher } from "./fuzzy.js";
import { html, useEffect, useMemo, useRef, useState } from "./lib.js";
import { dollars } from "./money.js";

const EFFECT = { read: "reads", write: "writes", destroy: "may destroy" };

/**
 * @param {{id: string, entries: import("./fuzzy.js").Entry[], kept: {recent: string[], pinned: string[]}, onPick: (name: string) => void,
 *   most?: number, missing?: string}} props most: rows; missing: why the entries are not there yet
 */
export function Finder({ id, entries, kept, onPick, most, missing }) {
  const [query, setQuery] = useState("");
  const [active, setActive] = useState(0);
  const list = useRef();
  const search = useMemo(() => searcher(entries), [entries]);
  const groups = useMemo(() => grouped(entries, (text) => search(text, most), query, kept), [search, query, kept, most]);
  const rows = groups.flatMap((group) => group.tools);
  useEffect(() => {
    if (active > 0) list.current.querySelector("[aria-selected=true]")?.scrollIntoView({ block: "nearest" });
    else list.current.scrollTop = 0;
  }, [active, query]);

  const typed = (event) => {
    setQuery(event.target.value);
    setActive(0);
  };
  const pressed = (event) => {
    const last = rows.length - 1;
    const next = { ArrowDown: active + 1, ArrowUp: active - 1, PageDown: active + 10, PageUp: active - 10, Home: 0, End: last }[event.key];
    if (next !== undefined && !(event.key === "Home" || event.key === "End" ? query && !event.ctrlKey : false)) {
      event.preventDefault();
      setActive(Math.max(0, Math.min(next, last)));
    }
    if (event.key === "Enter" && rows[active]) {
      event.preventDefault();
      onPick(rows[active].name);
    }
  };
  let at = -1;
  return html`<div class="finder">
    <input
      id=${id} role="combobox" aria-label="Search tools" aria-expanded="true" aria-autocomplete="list" aria-controls=${`${id}-list`}
      aria-activedescendant=${rows.length ? `${id}-${active}` : undefined} autocomplete="off" spellcheck="false"
      placeholder=${`Search ${entries.length} tools…`} value=${query} onInput=${typed} onKeyDown=${pressed} />
    <div id=${`${id}-list`} class="found" ref=${list} role="listbox" aria-label="Tools" data-query=${query}>
      ${/* Without keys: a row becomes another tool's by its texts alone, which takes a third of the time of making it anew. */ ""}
      ${groups.map(
        ({ name, tools }) => html`<div role="group" aria-label=${name}>
          <div class="group" role="presentation"><bdi>${name}</bdi></div>
          ${tools.map((tool) => {
            at += 1;
            return html`<${Row} id=${`${id}-${at}`} tool=${tool} active=${at === active} onPick=${onPick} />`;
          })}
        </div>`,
      )}
    </div>
    <p class="quiet" role="status">${missing || said(rows.length, entries.length, query)}</p>
  </div>`;
}

function Row({ id, tool, active, onPick }) {
  return html`<div role="option" id=${id} class="row" aria-selected=${String(active)} onClick=${() => onPick(tool.name)}>
    <${Method} request=${tool.request} />
    <b><bdi>${tool.title ?? tool.name}</bdi></b>
    <code><bdi>${tool.name}</bdi></code>
    <${Effect} effect=${tool.effect} />
    <${Cost} price=${tool.price} />
  </div>`;
}

export function Method({ request }) {
  const [method] = (request ?? "").split(" ");
  return method ? html`<span class=${`method ${method.toLowerCase()}`}>${method}</span>` : null;
}

export function Effect({ effect }) {
  return html`<span class=${`effect ${effect}`}>${EFFECT[effect] ?? effect}</span>`;
}

/** @param {{price: {usd: string, micros: number, estimated: boolean} | null}} props null: not known */
export function Cost({ price }) {
  if (!price) return html`<span class="cost" title="The price is not known">$?</span>`;
  return price.micros === 0 ? null : html`<span class="cost">${price.estimated ? "about " : ""}${dollars(price)}</span>`;
}

/** Pinned and recent ones first where nothing is asked for, then by category, in the order of the best of each. */
function grouped(entries, search, query, { pinned, recent }) {
  if (query.trim()) return [...by(search(query))].map(([name, tools]) => ({ name, tools }));
  const known = new Map(entries.map(({ tool }) => [tool.name, tool]));
  const some = (names) => names.map((name) => known.get(name)).filter(Boolean);
  const first = [
    { name: "Pinned", tools: some(pinned) },
    { name: "Recent", tools: some(recent.filter((name) => !pinned.includes(name))) },
  ].filter(({ tools }) => tools.length);
  const shown = new Set(first.flatMap(({ tools }) => tools));
  const rest = search("").filter((tool) => !shown.has(tool));
  return [...first, ...[...by(rest)].map(([name, tools]) => ({ name, tools }))];
}

function by(tools) {
  return Map.groupBy(tools, ({ integration, category }) => (category ? `${integration} · ${category}` : integration));
}

function said(shown, all, query) {
  if (!shown) return query ? "No tool fits." : "There are no tools that you may see.";
  return query || shown < all ? `${shown} shown of ${all}` : `${all} tools`;
}
