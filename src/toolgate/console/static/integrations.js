// What is served and how it does, a card each; for admins, what changes that. Then: how clients connect.
import { ask } from "./api.js";
import { clock } from "./approvals.js";
import { useAsked } from "./asked.js";
import { changed } from "./catalogue.js";
import { Clients } from "./clients.js";
import { Connect } from "./connect.js";
import { html, useState } from "./lib.js";
import { Adding } from "./adding.js";
import { Providers } from "./providers.js";
import { Long } from "./result.js";
import { to } from "./route.js";

const EVERY = 10_000; // milliseconds
const CREDENTIALS = { none: "needs no credentials", set: "credentials are set", missing: "credentials are missing", per_user: "each caller's own credentials" };

export function Integrations({ session }) {
  const { value, problem, again } = useAsked("/v1/integrations", { every: EVERY });
  const [adding, setAdding] = useState(false);
  const admin = session.principal.roles.includes("admin");
  const served = () => {
    again();
    changed();
  };
  const added = () => {
    setAdding(false);
    served();
  };
  return html`<section>
    <h1>Integrations</h1>
    <p role="alert" class="problem">${problem?.message ?? ""}</p>
    ${admin && html`<p><button type="button" aria-expanded=${String(adding)} onClick=${() => setAdding(!adding)}>Add an API…</button></p>`}
    ${adding && html`<${Adding} onAdded=${added} />`}
    <ul class="cards grid">
      ${(value?.integrations ?? []).map((each) => html`<${Card} key=${each.name} integration=${each} admin=${admin} onChanged=${served} />`)}
    </ul>
    <p><a href="../v1/integrations">As JSON</a></p>
    <${Providers} admin=${admin} />
    <${Clients} admin=${admin} />
    <${Connect} />
  </section>`;
}

function Card({ integration, admin, onChanged }) {
  const { name, title, kind, enabled, tools, visible, quarantined, credentials, problem, suspended } = integration;
  const [mood, health] = healthOf(integration);
  const [open, setOpen] = useState(false);
  return html`<li class="card">
    <h2><bdi>${title ?? name}</bdi> <span class=${`badge ${mood}`}>${health}</span></h2>
    <p class="quiet"><code><bdi>${name}</bdi></code> · ${kind === "mcp" ? "MCP server" : "OpenAPI"} · ${CREDENTIALS[credentials] ?? ""}</p>
    <p>${tools} ${tools === 1 ? "tool" : "tools"}, ${visible} of them visible to you${quarantined > 0 && html`, <b class="warn">${quarantined} kept back</b> (Refresh shows why)`}</p>
    ${problem && html`<p class="problem"><bdi>${problem}</bdi></p>`}
    ${suspended > 0 && html`<p class="problem">It kept failing and is left alone for ${Math.ceil(suspended)} s.</p>`}
    ${admin && html`<${Changing} name=${name} enabled=${enabled} onChanged=${onChanged} />`}
    ${admin &&
    html`<details onToggle=${(event) => setOpen(event.target.open)}>
      <summary>The last day, limits and findings</summary>
      ${open && html`<${Day} name=${name} />`}
    </details>`}
  </li>`;
}

function healthOf({ enabled, problem, suspended, quarantined, credentials }) {
  if (enabled === false) return ["warn", "off"];
  if (problem) return ["bad", "not served"];
  if (suspended > 0) return ["bad", "left alone"];
  if (quarantined > 0 || credentials === "missing") return ["warn", "look at it"];
  return ["good", "ok"];
}

/** Test, switch, compare with what it defines now, accept. */
function Changing({ name, enabled, onChanged }) {
  const [said, setSaid] = useState("");
  const [bad, setBad] = useState(false);
  const [found, setFound] = useState(null);
  const [busy, setBusy] = useState(false);
  const act = async (what, told, body = {}) => {
    setBusy(true);
    setBad(false);
    setSaid("…");
    try {
      const answer = await ask(`/v1/integrations/${encodeURIComponent(name)}/${what}`, { method: "POST", body });
      setSaid(told(answer));
      onChanged();
    } catch (error) {
      setBad(true);
      setSaid(error.message);
    } finally {
      setBusy(false);
    }
  };
  const test = () =>
    act("test", ({ ok, sentence, ms }) => {
      setBad(!ok);
      return `${sentence} (${ms} ms)`;
    });
  const toggle = () => act(enabled ? "disable" : "enable", () => (enabled ? "Its tools are served no more." : "Its tools are served again."));
  const refresh = () =>
    act("refresh", (answer) => {
      setFound(answer);
      return answer.total ? `${answer.total} definitions are not as they are served.` : "It is defined as it is served.";
    });
  const accept = () =>
    act("accept", ({ added, changed, removed }) => {
      setFound(null);
      return `Accepted: ${added.length} added, ${changed.length} changed, ${removed.length} removed.`;
    }, { digest: found.digest });
  return html`<div class="actions">
      <button type="button" disabled=${busy} aria-label=${`Test ${name}`} onClick=${test}>Test</button>
      <button type="button" disabled=${busy} aria-label=${`${enabled ? "Disable" : "Enable"} ${name}`} onClick=${toggle}>${enabled ? "Disable" : "Enable"}</button>
      <button type="button" disabled=${busy} aria-label=${`Refresh ${name}`} onClick=${refresh}>Refresh</button>
      ${found?.total > 0 && html`<button type="button" class="main" disabled=${busy} aria-label=${`Accept ${name}`} onClick=${accept}>Accept as it is now</button>`}
      ${found?.total > 0 && html`<button type="button" disabled=${busy} onClick=${() => setFound(null)}>Keep as it was</button>`}
    </div>
    <p role="status" class=${bad ? "problem" : "quiet"}><bdi>${said}</bdi></p>
    ${(found?.differences ?? []).map(
      (each) => html`<details key=${each.name}><summary><code><bdi>${each.name}</bdi></code> ${each.change}</summary><${Long} text=${each.diff} /></details>`,
    )}`;
}

function Day({ name }) {
  const { value, problem } = useAsked(`/v1/integrations/${encodeURIComponent(name)}`);
  if (problem) return html`<p role="alert" class="problem">${problem.message}</p>`;
  if (!value) return html`<p>…</p>`;
  const { day, last_error: last, limits, diagnostics, kept_back: kept } = value;
  return html`<p>${day.calls} calls in 24 hours, ${day.failed} failed${day.p50 !== null && `; p50 ${day.p50} ms, p95 ${day.p95} ms`}.</p>
    ${last && html`<p>Last error: <a href=${to("audit", last.call)}><bdi>${last.code ?? "a bug"}</bdi></a> of <bdi>${last.tool}</bdi>, ${clock(last.at)}.</p>`}
    ${limits.map(({ calls, seconds, used }) => html`<p key=${seconds}>${used} of the ${calls} calls used that it allows in ${seconds} s.</p>`)}
    ${kept.length > 0 && html`<p>Kept back: <bdi>${kept.join(", ")}</bdi></p>`}
    <${Findings} diagnostics=${diagnostics} />
    <p><a href=${`../v1/integrations/${encodeURIComponent(name)}`}>As JSON</a></p>`;
}

/** What a description's reader repaired, simplified or left out. */
export function Findings({ diagnostics }) {
  if (!diagnostics.length) return html`<p>Nothing had to be repaired in its description.</p>`;
  const counts = ["error", "warning", "info"].map((level) => `${diagnostics.filter((each) => each.level === level).length} ${level}`);
  return html`<details>
    <summary>${diagnostics.length} findings in its description: ${counts.join(", ")}</summary>
    <ul>${diagnostics.map((each, index) => html`<li key=${index}><b>${each.level}</b> <code><bdi>${each.pointer}</bdi></code> <bdi>${each.message}</bdi></li>`)}</ul>
  </details>`;
}
