// What happened: filtered, one call's whole story, proof that it is still what was written, and all of it to keep.
import { ask } from "./api.js";
import { clock } from "./approvals.js";
import { useAsked } from "./asked.js";
import { html, useEffect, useState } from "./lib.js";
import { Long } from "./result.js";
import { to } from "./route.js";

const LINES = 50;
const FILTERS = [
  ["who", "Person"],
  ["tool", "Tool, * for anything"],
  ["ending", "Ending", ["ok", "refused", "failed", "unknown"]],
  ["type", "Event", ["call.*", "approval.*", "auth.failed", "budget.changed", "config.changed", "key.*", "model.*", "policy.*", "tool.drift", "audit.*"]],
  ["since", "Since, by your clock"],
  ["until", "Until, by your clock"],
  ["call", "Call, with those made for it"],
];

export function Audit({ route, session }) {
  if (!session.principal.roles.includes("admin"))
    return html`<section><h1>Audit</h1><p>The audit is for the role admin. What you used yourself is under <a href="#/metrics">metrics</a>.</p></section>`;
  if (route.rest) return html`<${Story} id=${route.rest} />`;
  return html`<${Lines} query=${route.query} />`;
}

function Lines({ query }) {
  const asked = new URLSearchParams(query);
  asked.set("limit", String(LINES));
  const { value, problem, again } = useAsked(`/v1/audit?${asked}`);
  useEffect(() => {
    if (!value?.behind) return undefined;
    const timer = setTimeout(again, 100);
    return () => clearTimeout(timer);
  }, [value]);
  const lines = value?.lines ?? [];
  const older = lines.length === LINES && to("audit", "", { ...Object.fromEntries(query), before: String(lines.at(-1).seq) });
  return html`<section>
    <h1>Audit</h1>
    <${Filters} key=${query} query=${query} />
    <${Proof} />
    <p role="alert" class="problem">${problem?.message ?? ""}</p>
    ${value?.behind > 0 && html`<p role="status">${value.behind.toLocaleString()} newer lines are still being looked through…</p>`}
    ${value && !lines.length && !value.behind && html`<p role="status">No such line is written down.</p>`}
    ${lines.length > 0 &&
    html`<div class="wide" tabindex="0" role="region" aria-label="Lines">
      <table>
        <thead><tr><th>when</th><th>event</th><th>who</th><th>what</th><th>how</th><th>why</th><th class="number">ms</th></tr></thead>
        <tbody>${lines.map((line) => html`<${Line} key=${line.seq} line=${line} />`)}</tbody>
      </table>
    </div>`}
    <p class="actions">
      ${query.has("before") && html`<a class="button" href=${to("audit", "", { ...Object.fromEntries(query), before: "" })}>Newest</a>`}
      ${older && html`<a class="button" href=${older}>Older</a>`}
      <a href=${`../v1/audit?${asked}`}>As JSON</a>
    </p>
  </section>`;
}

function Line({ line }) {
  const { tool, principal, result, decision, details } = line;
  const what = tool?.name ?? Object.entries(details ?? {}).filter(([, value]) => typeof value === "string").map(([name, value]) => `${name} ${value}`).join(", ");
  return html`<tr>
    <td>${clock(line.at)}</td>
    <td>${line.call ? html`<a href=${to("audit", line.call)}>${line.type}</a>` : html`<span title=${`line ${line.seq}`}>${line.type}</span>`}</td>
    <td>${principal && html`<a class="plainly" href=${to("audit", "", { who: principal.id })}><bdi>${principal.id}</bdi></a>`}</td>
    <td><bdi>${what.slice(0, 120)}</bdi></td>
    <td><span class=${mood(result?.ending)}>${result?.ending}</span></td>
    <td><bdi>${result?.code ?? decision?.rule}</bdi></td>
    <td class="number">${line.ms?.toFixed(1)}</td>
  </tr>`;
}

const mood = (ending) => ({ ok: "good", refused: "warn" })[ending] ?? (ending ? "bad" : "");

function Filters({ query }) {
  const submit = (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(event.target));
    location.hash = to("audit", "", { ...given, since: zoned(given.since), until: zoned(given.until) });
  };
  return html`<form class="filters" role="search" aria-label="Filters" onSubmit=${submit}>
    ${FILTERS.map(
      ([name, label, choices]) => html`<div key=${name}>
        <label for=${`by-${name}`}>${label}</label>
        ${choices
          ? html`<select id=${`by-${name}`} name=${name}>
              <option value="">any</option>
              ${choices.map((each) => html`<option key=${each} selected=${query.get(name) === each}>${each}</option>`)}
            </select>`
          : html`<input id=${`by-${name}`} name=${name} autocomplete="off" defaultValue=${query.get(name) ?? ""} placeholder=${name === "since" || name === "until" ? "2026-11-20T09:30" : undefined} />`}
      </div>`,
    )}
    <button class="main">Filter</button>
  </form>`;
}

/** A day or a moment of the reader's clock, which the page shows, as one of everybody's; what says its zone, or is none, as it is. */
function zoned(text) {
  const [, day, time = "00:00"] = text.trim().match(/^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?$/) ?? [];
  const moment = new Date(`${day}T${time}`);
  return day && !Number.isNaN(moment.valueOf()) ? moment.toISOString() : text;
}

/** Whether the chain holds, and all of it as a file. */
function Proof() {
  const [found, setFound] = useState(null);
  const [said, setSaid] = useState("");
  const verify = async () => {
    setSaid("Reading every record…");
    try {
      const report = await ask("/v1/audit/verify", { method: "POST", body: {} });
      setFound(report);
      const covered = `a checkpoint covers ${report.signed.toLocaleString()} of them`;
      const whole = `${report.intact.toLocaleString()} records are what was written; ${covered}.`;
      setSaid(report.flaw ? `The audit is not what was written: ${report.flaw.sentence}` : whole);
    } catch (error) {
      setSaid(error.message);
    }
  };
  return html`<div class="actions">
    <button type="button" onClick=${verify}>Verify the chain</button>
    <a class="button" href="../v1/audit/export" download>Export as JSON lines</a>
    <a class="button" href="../v1/audit/export?format=ocsf" download>as OCSF</a>
    <a class="button" href="../v1/audit/export?format=cloudevents" download>as CloudEvents</a>
    <span role="status" class=${found?.flaw ? "problem" : ""}>${said}</span>
  </div>`;
}

/** Everything that is written of one call, and of those made on its behalf. */
function Story({ id }) {
  const { value, problem } = useAsked(`/v1/audit?call=${encodeURIComponent(id)}&limit=1000`);
  const lines = [...(value?.lines ?? [])].reverse();
  const calls = [...Map.groupBy(lines, (line) => line.call)];
  return html`<section>
    <h1>One call</h1>
    <p class="quiet mono"><bdi>${id}</bdi></p>
    <p role="alert" class="problem">${problem?.message ?? ""}</p>
    ${value && !lines.length && html`<p>Nothing is written of it${value.behind ? " yet" : ""}.</p>`}
    ${calls.map(([call, each]) => html`<${Told} key=${call} call=${call} lines=${each} />`)}
    <p><a href="#/audit">All lines</a> · <a href=${`../v1/audit?call=${encodeURIComponent(id)}`}>As JSON</a></p>
  </section>`;
}

function Told({ call, lines }) {
  const last = lines.at(-1);
  const intent = lines.find((line) => line.type === "call.intent");
  const kept = (intent ?? last).arguments;
  const { tool, principal, decision, money, result, trace, approval, parent, depth } = { ...intent, ...last };
  const facts = {
    who: `${principal?.id} (${(principal?.roles ?? []).join(", ")}; ${principal?.tier}; by ${principal?.via})`,
    "on behalf of": principal?.acting_for?.join(", "),
    when: `${lines[0].at}${lines.length > 1 ? ` to ${last.at}` : ""}`,
    ended: result && [result.ending, result.code, result.status && `other side ${result.status}`, `effect ${result.effect}`].filter(Boolean).join(", "),
    took: last.ms === undefined ? undefined : `${last.ms} ms`,
    decision: decision && `${decision.effect} by rule ${decision.rule}`,
    policy: decision?.policy,
    "money, micro-dollars": money && `reserved ${money.reserved ?? 0}, settled ${money.settled}`,
    approval,
    "arguments changed by": last.notes?.approve?.instead_of && last.notes.approve.by,
    trace,
  };
  return html`<article class="card">
    <h2>${"↳ ".repeat(depth ?? 0)}<a href=${to("tools", tool?.name ?? "")}><bdi>${tool?.name}</bdi></a> <span class=${mood(result?.ending)}>${result?.ending ?? "under way"}</span></h2>
    ${parent && html`<p class="quiet">made for <a href=${to("audit", parent)}>${parent.slice(0, 12)}…</a></p>`}
    <dl>
      ${Object.entries(facts).filter(([, fact]) => fact).map(([name, fact]) => html`<div key=${name}><dt>${name}</dt><dd><bdi>${fact}</bdi></dd></div>`)}
    </dl>
    <h3>Arguments, as kept</h3>
    <${Long} text=${JSON.stringify(kept?.values ?? kept ?? null, null, 2)} />
    <details><summary>${lines.length} lines as written</summary><${Long} text=${JSON.stringify(lines, null, 2)} /></details>
  </article>`;
}
