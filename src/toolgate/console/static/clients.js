// MCP clients that are connected or were lately, a card each. What they are called, they say themselves.
import { clock } from "./approvals.js";
import { useAsked } from "./asked.js";
import { html } from "./lib.js";
import { to } from "./route.js";

const EVERY = 10_000; // milliseconds
const TRANSPORTS = { stdio: "stdio", sse: "HTTP with SSE", "streamable-http": "Streamable HTTP" };

/** @param {{admin: boolean}} props */
export function Clients({ admin }) {
  const { value, problem } = useAsked("/v1/clients", { every: EVERY });
  return html`<h2>Connected clients</h2>
    <p class="quiet">${admin ? "Everybody's" : "Your own"}, of the last 30 days.</p>
    ${problem && html`<p role="alert" class="problem">${problem.message}</p>`}
    ${value && !value.clients.length && html`<p>None has connected yet.</p>`}
    <ul class="cards grid">
      ${(value?.clients ?? []).map((each, index) => html`<${Card} key=${index} client=${each} admin=${admin} />`)}
    </ul>
    <p><a href="../v1/clients">As JSON</a></p>`;
}

function Card({ client, admin }) {
  const { name, version, protocol, transport, principal, sessions, first_seen: first, last_seen: last, last_call: call } = client;
  const mood = sessions > 0 ? "good" : "";
  const state = sessions === null ? "no sessions" : sessions === 1 ? "1 session" : `${sessions} sessions`;
  return html`<li class="card">
    <h3><bdi>${name}</bdi> <small><bdi>${version}</bdi></small> <span class=${`badge ${mood}`}>${state}</span></h3>
    <p class="quiet">MCP <bdi>${protocol}</bdi> · ${TRANSPORTS[transport] ?? transport} · <bdi>${principal}</bdi></p>
    <p>Heard of ${clock(last)}, first ${clock(first)}.</p>
    ${call &&
    html`<p>
      Last call of <bdi>${principal}</bdi>: ${admin && call.call ? html`<a href=${to("audit", call.call)}><bdi>${call.tool}</bdi></a>` : html`<bdi>${call.tool}</bdi>`}, ${clock(call.at)}.
    </p>`}
  </li>`;
}
