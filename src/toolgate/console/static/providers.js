// Language models, a card for each provider: whether it answers, what it costs, what it failed for.
import { ask } from "./api.js";
import { clock } from "./approvals.js";
import { useAsked } from "./asked.js";
import { html, useState } from "./lib.js";
import { dollars } from "./money.js";

const EVERY = 15_000; // milliseconds
const SHOWN = 12; // models of one provider
const KEYS = { none: "needs no key", set: "key is set", missing: "key is missing" };

/** @param {{admin: boolean}} props */
export function Providers({ admin }) {
  const { value, problem, again } = useAsked("/v1/providers", { every: EVERY });
  const stats = useAsked(admin ? "/v1/providers/stats?since=24h&by=provider" : null, { every: EVERY });
  const day = new Map((stats.value?.stats ?? []).map((each) => [each.provider, each]));
  return html`<h2>Language models</h2>
    ${problem && html`<p class="quiet"><bdi>${problem.message}</bdi></p>`}
    ${value && !value.providers.length && html`<p>There are none that you may ask.</p>`}
    <ul class="cards grid">
      ${(value?.providers ?? []).map((each) => html`<${Card} key=${each.name} provider=${each} day=${day.get(each.name)} admin=${admin} onChanged=${again} />`)}
    </ul>
    <p><a href="../v1/providers">As JSON</a></p>`;
}

function Card({ provider, day, admin, onChanged }) {
  const { name, kind, by, region, enabled, credentials, models, last_error: last } = provider;
  const [mood, health] = healthOf(provider);
  const away = enabled ? models.filter(({ unavailable }) => unavailable) : [];
  return html`<li class="card">
    <h3><bdi>${name}</bdi> <span class=${`badge ${mood}`}>${health}</span></h3>
    <p class="quiet">${kind}${region && html` in <bdi>${region}</bdi>`} · ${KEYS[credentials] ?? ""} · ${by === "always" ? "always there for who names it" : html`set up by <bdi>${by}</bdi>`}</p>
    ${day && html`<p>${day.total_requests.toLocaleString()} attempts in 24 hours${told(day)}, ${dollars(day.total_cost)}, ${day.total_tokens_in.toLocaleString()} tokens in and ${day.total_tokens_out.toLocaleString()} out.</p>`}
    ${admin && !day && html`<p class="quiet">Not asked in the last 24 hours.</p>`}
    ${away.map(({ id, unavailable }) => html`<p key=${id} class="problem"><code><bdi>${id}</bdi></code> <bdi>${unavailable}</bdi></p>`)}
    ${last && html`<p>Last error: <bdi>${last.message}</bdi> <span class="quiet">(<bdi>${last.model}</bdi>, <bdi>${last.reason}</bdi>, ${clock(last.at)})</span></p>`}
    ${admin && html`<${Changing} name=${name} enabled=${enabled} onChanged=${onChanged} />`}
    <details>
      <summary>${models.length === 1 ? "1 model" : `${models.length} models`}</summary>
      <ul class="list">${models.slice(0, SHOWN).map((model) => html`<${Model} key=${model.id} model=${model} />`)}</ul>
      ${models.length > SHOWN && html`<p class="quiet">and ${models.length - SHOWN} more</p>`}
    </details>
  </li>`;
}

function healthOf({ enabled, credentials, models }) {
  if (!enabled) return ["warn", "off"];
  const away = models.filter(({ unavailable }) => unavailable).length;
  if (credentials === "missing") return ["warn", "no key"];
  if (models.length > 0 && away === models.length) return ["bad", "left alone"];
  if (away > 0) return ["warn", "look at it"];
  return models.length ? ["good", "ok"] : ["warn", "no models"];
}

function told({ success_rate: well, p50_latency_ms: p50, p95_latency_ms: p95 }) {
  const share = well === null ? "" : `, ${(100 * well).toFixed(1)} % went well`;
  return p50 === null ? share : `${share}; p50 ${Math.round(p50)} ms, p95 ${Math.round(p95)} ms`;
}

function Model({ model }) {
  const { id, window, usd_per_million: price } = model;
  return html`<li><code><bdi>${id}</bdi></code> <small>${window.toLocaleString()} tokens; $${price.input} in and $${price.output} out a million</small></li>`;
}

/** Test: whether it answers and takes the key; its list of models is asked for, which costs nothing. Switch it. */
function Changing({ name, enabled, onChanged }) {
  const [said, setSaid] = useState("");
  const [bad, setBad] = useState(false);
  const act = async (what, told) => {
    setBad(false);
    setSaid("…");
    try {
      setSaid(told(await ask(`/v1/providers/${encodeURIComponent(name)}/${what}`, { method: "POST", body: {} })));
    } catch (error) {
      setBad(true);
      setSaid(error.message);
    }
  };
  const test = () =>
    act("test", ({ ok, sentence, ms }) => {
      setBad(!ok);
      return `${sentence} (${ms} ms)`;
    });
  const toggle = () =>
    act(enabled ? "disable" : "enable", (answer) => {
      onChanged();
      return answer.enabled ? "Its models are asked again." : "Its models are asked no more.";
    });
  const word = enabled ? "Disable" : "Enable";
  return html`<div class="actions">
      <button type="button" aria-label=${`Test ${name}`} onClick=${test}>Test</button>
      <button type="button" aria-label=${`${word} ${name}`} onClick=${toggle}>${word}</button>
    </div>
    <p role="status" class=${bad ? "problem" : "quiet"}><bdi>${said}</bdi></p>`;
}
