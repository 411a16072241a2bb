// How language models do and what they cost: for admins by provider and model, for others what their own requests cost.
import { under } from "./api.js";
import { useAsked } from "./asked.js";
import { html } from "./lib.js";
import { dollars } from "./money.js";

/** @param {{range: string, admin: boolean, ms: (value: number | null) => string}} props */
export function Models({ range, admin, ms }) {
  return html`<h2>Language models</h2>
    ${admin ? html`<${Table} path=${`/v1/providers/stats?since=${range}&by=provider,model`} rows=${(value) => value.stats} columns=${STATS(ms)} /><${Wins} range=${range} />` : ""}
    <${Table} path=${admin ? `/v1/providers/costs?since=${range}&by=provider,task` : "/v1/usage?by=provider,phase&since=30d"} rows=${costs} columns=${COSTS} />`;
}

function Wins({ range }) {
  return html`<h3>Answers that were right, of those that were judged</h3>
    <${Table} path=${`/v1/providers/wins?since=${range}`} rows=${(value) => value.wins} columns=${WINS} />
    <h3>What was spent on requests</h3>`;
}

const costs = (value) => value.costs ?? value.usage.filter((each) => each.provider);
const percent = (share) => (share === null ? "–" : `${(100 * share).toFixed(1)} %`);
const STATS = (ms) => [
  ["provider", (row) => row.provider],
  ["model", (row) => row.model],
  ["attempts", (row) => row.total_requests.toLocaleString(), true],
  ["went well", (row) => percent(row.success_rate), true],
  ["p50", (row) => ms(row.p50_latency_ms), true],
  ["p95", (row) => ms(row.p95_latency_ms), true],
  ["cost", (row) => dollars(row.total_cost), true],
];
const WINS = [
  ["task", (row) => row.task],
  ["provider", (row) => row.provider],
  ["model", (row) => row.model],
  ["right", (row) => percent(row.win_rate), true],
  ["95 % interval", (row) => `${percent(row.low)} to ${percent(row.high)}`, true],
  ["judged", (row) => row.judged, true],
];
const COSTS = [
  ["provider", (row) => row.provider],
  ["for", (row) => row.task ?? row.phase],
  ["requests", (row) => (row.requests ?? row.calls).toLocaleString(), true],
  ["cost", (row) => dollars(row.cost), true],
];

/** A table of what `path` answers, with the answer one click away. */
function Table({ path, rows, columns }) {
  const { value, problem } = useAsked(path);
  const found = value ? rows(value) : [];
  if (problem) return html`<p class="quiet"><bdi>${problem.message}</bdi></p>`;
  if (value && !found.length) return html`<p>Nothing yet. <a href=${under(path)}>As JSON</a></p>`;
  return html`<div class="wide" tabindex="0" role="region" aria-label=${columns.map(([name]) => name).join(", ")}>
      <table>
        <thead><tr>${columns.map(([name, , number]) => html`<th key=${name} class=${number ? "number" : ""}>${name}</th>`)}</tr></thead>
        <tbody>${found.map((row, index) => html`<tr key=${index}>${columns.map(([name, shown, number]) => html`<td key=${name} class=${number ? "number" : ""}><bdi>${shown(row)}</bdi></td>`)}</tr>`)}</tbody>
      </table>
    </div>
    <p><a href=${under(path)}>As JSON</a></p>`;
}
