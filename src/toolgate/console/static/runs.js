// Runs that were: which there are, and each of them once more.
import { useAsked } from "./asked.js";
import { clock } from "./approvals.js";
import { html } from "./lib.js";
import { dollars } from "./money.js";
import { Transcript } from "./transcript.js";

/** @param {{chosen: string, onChoose: (id: string) => void}} props chosen: a run's id; empty: the list */
export function Runs({ chosen, onChoose }) {
  return chosen ? html`<${Replay} id=${chosen} onBack=${() => onChoose("")} />` : html`<${List} onChoose=${onChoose} />`;
}

function List({ onChoose }) {
  const { value, problem } = useAsked("/v1/runs?limit=50");
  return html`<div class="talk" tabindex="0" role="region" aria-label="Past runs">
    <p role="alert" class="problem">${problem?.message ?? ""}</p>
    ${value && !value.runs.length && html`<p>There are none yet.</p>`}
    <ul class="list">
      ${(value?.runs ?? []).map(
        (run) => html`<li key=${run.run}>
          <button type="button" class="plain" onClick=${() => onChoose(run.run)}><bdi>${run.task.slice(0, 120)}</bdi></button>
          <div class="quiet">${began(run)} · ${run.status} · ${dollars(run.cost)}</div>
        </li>`,
      )}
    </ul>
  </div>`;
}

function Replay({ id, onBack }) {
  const { value, problem } = useAsked(`/v1/runs/${encodeURIComponent(id)}`);
  return html`<div class="talk" tabindex="0" role="region" aria-label="A run that was">
    <button type="button" onClick=${onBack}>All runs</button>
    <p role="alert" class="problem">${problem?.message ?? ""}</p>
    ${value && html`<p class="quiet">${began(value)} · ${value.status} · ${dollars(value.cost)}</p><${Transcript} items=${itemsOf(value)} />`}
  </div>`;
}

const began = ({ started }) => clock(new Date(started * 1000).toISOString());

/** A run's own events as a conversation. */
export function itemsOf({ task, events }) {
  const items = [{ kind: "user", id: "task", text: task }];
  const calls = new Map();
  let said = null;
  for (const { type: name, ...each } of events) {
    if (name === "said" || name === "thought") {
      const kind = name === "said" ? "text" : "thought";
      if (said?.kind !== kind || said.step !== each.step) items.push((said = { kind, id: String(items.length), text: "", step: each.step }));
      said.text += each.text;
      continue;
    }
    said = null;
    if (name === "withdrawn") while (items.length > 1 && items.at(-1).step === each.step) items.pop();
    if (name === "routed") items.push({ kind: "routed", ...each });
    if (name === "noted") items.push({ kind: "noted", text: each.text });
    if (name === "calling") {
      const call = { kind: "call", id: each.id, tool: each.tool, args: JSON.stringify(each.arguments), result: null };
      calls.set(each.id, call);
      items.push(call);
    }
    if (name === "called") {
      const call = calls.get(each.id);
      if (call) call.result = { ...each, cost: { micros: each.cost } };
    }
    if (name === "finished" && each.reason) items.push({ kind: "noted", text: each.reason });
  }
  return items;
}
