// A conversation with the agent, as a person reads it: everything that a model or a tool says is text.
import { parse } from "./exact.js";
import { html } from "./lib.js";
import { dollars } from "./money.js";
import { Long } from "./result.js";
import { to } from "./route.js";

const SHOWN = 4000; // characters of a piece

/** @param {{items: import("./agui.js").Item[]}} props */
export function Transcript({ items }) {
  return items.map((item, index) => html`<${SHOW[item.kind]} key=${index} ...${item} />`);
}

const User = ({ text }) => html`<div class="said user"><h3>You</h3><p class="about">${text}</p></div>`;
const Text = ({ text }) => html`<div class="said agent"><h3>Agent</h3><p class="about">${text}</p></div>`;
const Thought = ({ text }) => html`<details class="said"><summary>Thoughts</summary><p class="about quiet">${text}</p></details>`;
const Noted = ({ text }) => html`<p class="quiet"><bdi>${text}</bdi></p>`;
const Problem = ({ code, text }) => html`<p class="problem" role="alert"><span class="badge bad"><bdi>${code}</bdi></span> <bdi>${text}</bdi></p>`;

function Call({ tool, args, result }) {
  const mood = result === null ? "warn" : result.failed ? "bad" : "good";
  const word = result === null ? "not answered yet" : result.failed ? (result.code ?? "failed") : "ok";
  return html`<details class="said call">
    <summary>
      <code><bdi>${tool}</bdi></code> <span class=${`badge ${mood}`}><bdi>${word}</bdi></span>
      ${result?.seconds !== null && result?.seconds !== undefined && html` <small>${result.seconds.toFixed(2)} s</small>`}
      ${result?.cost?.micros > 0 && html` <small>${dollars(result.cost)}</small>`}
      ${result?.replayed && html` <small>made before</small>`}
    </summary>
    <h4>Arguments</h4>
    <${Long} text=${pretty(args)} most=${SHOWN} />
    ${result && html`<h4>Result</h4><${Long} text=${result.text} most=${SHOWN} />`}
    <p><a href=${to("tools", tool, { args })}>Open in the form</a></p>
  </details>`;
}

/** Which model answers, why, and who else could have. */
function Routed({ provider, model, reasons, scores }) {
  const others = Object.entries(scores ?? {});
  return html`<details class="said routed">
    <summary><small>answered by</small> <bdi>${provider}/${model}</bdi></summary>
    ${reasons?.length > 0 && html`<ul>${reasons.map((reason) => html`<li key=${reason}><bdi>${reason}</bdi></li>`)}</ul>`}
    ${others.length > 0 &&
    html`<table>
      <thead><tr><th>model</th><th>score</th></tr></thead>
      <tbody>${others.map(([name, score]) => html`<tr key=${name}><td><bdi>${name}</bdi></td><td><bdi>${plain(score)}</bdi></td></tr>`)}</tbody>
    </table>`}
  </details>`;
}

const SHOW = { user: User, text: Text, thought: Thought, call: Call, routed: Routed, noted: Noted, problem: Problem };

function plain(score) {
  if (typeof score === "number") return String(Number(score.toPrecision(3)));
  if (typeof score !== "object" || score === null) return String(score);
  return Object.entries(score).map(([name, value]) => `${name} ${typeof value === "object" ? JSON.stringify(value) : plain(value)}`).join(", ");
}

function pretty(text) {
  try {
    return JSON.stringify(parse(text), null, 2);
  } catch {
    return text;
  }
}
