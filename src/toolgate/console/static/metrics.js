// How much, how well, how fast, for how much money: one's own, or everybody's for an admin.
import { under } from "./api.js";
import { clock } from "./approvals.js";
import { useAsked } from "./asked.js";
import { Bars, Curves } from "./chart.js";
import { html, useEffect } from "./lib.js";
import { Models } from "./models.js";
import { dollars } from "./money.js";
import { to } from "./route.js";

const EVERY = 15_000; // milliseconds
const RANGES = ["1h", "24h", "7d", "30d"];
const BY = ["tool", "user", "integration"];

export function Metrics({ route, session }) {
  const range = route.query.get("range") ?? "24h";
  const by = route.query.get("by") ?? "tool";
  const path = `/v1/metrics/calls?${new URLSearchParams({ range, by })}`;
  const { value, problem, again } = useAsked(path, { every: EVERY });
  useEffect(() => {
    if (!value?.behind) return undefined;
    const timer = setTimeout(again, 100);
    return () => clearTimeout(timer);
  }, [value]);
  const admin = session.principal.roles.includes("admin");
  return html`<section>
    <h1>Metrics</h1>
    <p class="quiet">${admin ? "Everybody's calls." : "Your own calls; the role admin sees everybody's."}</p>
    <${Tabs} label="Time range" name="range" choices=${RANGES} chosen=${range} query=${{ range, by }} />
    <p role="alert" class="problem">${problem?.message ?? ""}</p>
    ${value && html`<${Calls} value=${value} />`}
    <${Tabs} label="Told apart by" name="by" choices=${BY} chosen=${by} query=${{ range, by }} />
    ${value && html`<${Table} rows=${value.by} by=${by} />`}
    <p><a href=${under(path)}>As JSON</a>${value?.behind > 0 && html` · <span role="status">${value.behind.toLocaleString()} lines are still being counted…</span>`}</p>
    <${Models} range=${range} admin=${admin} ms=${ms} />
    <${Budgets} />
    ${admin && html`<${Denials} />`}
  </section>`;
}

function Tabs({ label, name, choices, chosen, query }) {
  return html`<div class="tabs" role="group" aria-label=${label}>
    ${choices.map((each) => html`<a class="button" key=${each} href=${to("metrics", "", { ...query, [name]: each })} aria-current=${each === chosen ? "true" : undefined}>${each}</a>`)}
  </div>`;
}

function Calls({ value }) {
  const { total, points } = value;
  const tiles = [
    ["calls", total.calls.toLocaleString()],
    ["went well", total.calls ? `${((100 * total.ok) / total.calls).toFixed(1)} %` : "–"],
    ["refused", total.refused.toLocaleString()],
    ["failed", total.failed.toLocaleString()],
    ["p50", ms(total.p50)],
    ["p95", ms(total.p95)],
    ["p99", ms(total.p99)],
    ["cost", dollars(total.cost)],
  ];
  const over = (names) => points.map((point) => ({ at: point.at, values: names.map((name) => point[name]) }));
  const cost = points.map((point) => ({ at: point.at, values: [point.cost.micros / 1e6] }));
  return html`<dl class="tiles">${tiles.map(([name, figure]) => html`<div key=${name}><dt>${name}</dt><dd>${figure}</dd></div>`)}</dl>
    <div class="charts">
      <${Bars} title="Calls" points=${over(["ok", "refused", "failed"])} names=${["ok", "refused", "failed"]} moods=${["good", "warn", "bad"]} />
      <${Curves} title="Time a call, ms" points=${over(["p50", "p95", "p99"])} names=${["p50", "p95", "p99"]} moods=${["good", "warn", "bad"]} show=${ms} />
      <${Bars} title="Cost, US dollars" points=${cost} names=${["dollars"]} moods=${["strong"]} show=${(value) => `$${Number(value.toPrecision(3))}`} />
    </div>`;
}

function Table({ rows, by }) {
  if (!rows.length) return html`<p>No calls.</p>`;
  const link = (name) => (by === "integration" ? html`<bdi>${name}</bdi>` : html`<a href=${to("audit", "", { [by === "user" ? "who" : "tool"]: name })}><bdi>${name}</bdi></a>`);
  return html`<div class="wide" tabindex="0" role="region" aria-label=${`Calls by ${by}`}>
    <table>
      <thead><tr><th>${by}</th>${["calls", "ok", "refused", "failed", "p50", "p95", "p99", "cost"].map((name) => html`<th key=${name} class="number">${name}</th>`)}</tr></thead>
      <tbody>
        ${rows.map(
          (row) => html`<tr key=${row.name}>
            <td>${link(row.name)}</td>
            ${["calls", "ok", "refused", "failed"].map((name) => html`<td key=${name} class="number">${row[name].toLocaleString()}</td>`)}
            ${["p50", "p95", "p99"].map((name) => html`<td key=${name} class="number">${ms(row[name])}</td>`)}
            <td class="number">${dollars(row.cost)}</td>
          </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function Budgets() {
  const { value } = useAsked("/v1/budgets", { every: EVERY });
  const rows = value?.budgets ?? [];
  return html`<h2>Budgets</h2>
    ${value && !rows.length && html`<p>No budget is spent from, and none is set.</p>`}
    <ul class="list">
      ${rows.map((each) => html`<${Budget} key=${`${each.scope} ${each.tenant} ${each.user} ${each.name} ${each.every}`} budget=${each} />`)}
    </ul>
    <p><a href="../v1/budgets">As JSON</a></p>`;
}

function Budget({ budget }) {
  const { limit, spent, held, every, scope } = budget;
  const whose = [budget.user, budget.name, budget.user ? "" : budget.tenant].filter(Boolean).join(" ");
  const used = spent.micros + held.micros;
  const words = limit ? `${dollars(spent)} of ${dollars(limit)} spent, ${Math.max(0, 100 - (100 * used) / Math.max(1, limit.micros)).toFixed(0)} % left` : `${dollars(spent)} spent, no limit`;
  return html`<li>
    <span id=${`budget-${scope}-${whose}-${every}`}>${scope} <bdi>${whose}</bdi>, this ${every}: ${words}${held.micros ? `, ${dollars(held)} held by calls under way` : ""}</span>
    ${limit && html`<meter min="0" max=${Math.max(1, limit.micros)} high=${limit.micros * 0.8} optimum="0" value=${used} aria-labelledby=${`budget-${scope}-${whose}-${every}`}></meter>`}
  </li>`;
}

function Denials() {
  const path = "/v1/audit?ending=refused&limit=10";
  const { value } = useAsked(path);
  return html`<h2>Refused lately</h2>
    ${value && !value.lines.length && html`<p>Nothing was.</p>`}
    <ul class="list">
      ${(value?.lines ?? []).map((line) => html`<li key=${line.seq}>${clock(line.at)} <bdi>${line.principal?.id}</bdi> <a href=${to("audit", line.call)}><bdi>${line.tool?.name}</bdi></a> <code><bdi>${line.result.code}</bdi></code></li>`)}
    </ul>
    <p><a href=${to("audit", "", { ending: "refused" })}>All of them</a></p>`;
}

function ms(value) {
  if (value === null) return "–";
  return value >= 1000 ? `${(value / 1000).toPrecision(3)} s` : `${Number(value.toPrecision(3))} ms`;
}
