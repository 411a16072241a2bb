// How a call ended: status, time, cost, and what came back, all of it shown as text.
import { html, useState } from "./lib.js";
import { dollars } from "./money.js";

const SHOWN = 100_000; // characters; more is shown on demand

/**
 * @param {{result: {status: number, ms: number, outcome: object}, onArguments: (values: object) => void}} props
 *   outcome: as POST /v1/tools/{name}/call answers
 */
export function Result({ result, onArguments }) {
  const { status, ms, outcome } = result;
  const { problem } = outcome;
  const next = outcome.meta?.next;
  return html`<section class="result" aria-label="Result">
    <p role="status">
      <span class=${`badge ${problem ? "bad" : "good"}`}><bdi>${problem ? problem.code : "ok"}</bdi></span>
      <span class="fact">HTTP ${status}</span>
      <span class="fact">${ms.toFixed(0)} ms</span>
      ${outcome.meta?.status !== undefined && html`<span class="fact">other side <bdi>${outcome.meta.status}</bdi></span>`}
      ${outcome.cost && html`<span class="fact">cost ${dollars(outcome.cost)}</span>`}
      ${outcome.effect && html`<span class="fact">effect <bdi>${outcome.effect}</bdi></span>`}
      ${outcome.replayed && html`<span class="fact">the outcome of an earlier call</span>`}
    </p>
    ${problem && html`<p class="problem"><bdi>${problem.message}</bdi></p>`}
    ${problem?.retry_after !== undefined && html`<p>Trying again makes sense in ${Math.ceil(problem.retry_after)} s.</p>`}
    ${pieces(outcome).map((piece, index) => html`<${Piece} key=${index} piece=${piece} />`)}
    ${next && html`<button type="button" onClick=${() => onArguments(next)}>Take the next page's arguments</button>`}
  </section>`;
}

/** The structured answer once, where there is one; else the pieces. */
function pieces({ structured, content = [] }) {
  if (structured === null || structured === undefined) return content;
  const others = content.filter((piece) => piece.type !== "text");
  return [{ type: "text", text: JSON.stringify(structured, null, 2) }, ...others];
}

function Piece({ piece }) {
  if (piece.type !== "text") return html`<p><a href=${`data:application/octet-stream;base64,${piece.data}`} download="result">Save <bdi>${piece.media_type}</bdi></a></p>`;
  return html`<${Long} text=${piece.text} />`;
}

/** Text of any length; a megabyte at once would hold the page up. */
export function Long({ text, most = SHOWN }) {
  const [all, setAll] = useState(false);
  const cut = !all && text.length > most;
  return html`<pre tabindex="0">${cut ? text.slice(0, most) : text}</pre>
    ${cut && html`<button type="button" onClick=${() => setAll(true)}>Show all ${text.length.toLocaleString()} characters</button>`}`;
}
