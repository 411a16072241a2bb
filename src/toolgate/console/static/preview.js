// A dry run: what the policy says of exactly this call, and what would be sent.
import { html } from "./lib.js";
import { Long } from "./result.js";

const SAYS = {
  allow: ["good", "It would be let through."],
  approve: ["warn", "It would wait for a person's yes first."],
  deny: ["bad", "It would be refused."],
};

/** @param {{preview: object}} props as POST /v1/tools/{name}/preview answers */
export function Preview({ preview }) {
  const { problem, verdict, request, unshown } = preview;
  if (problem) return html`<section aria-label="Dry run"><p><span class="badge bad"><bdi>${problem.code}</bdi></span></p><p class="problem"><bdi>${problem.message}</bdi></p></section>`;
  const [mood, sentence] = SAYS[verdict.decision];
  return html`<section aria-label="Dry run">
    <p role="status"><span class=${`badge ${mood}`}>${verdict.decision}</span> ${sentence} <small>rule <code><bdi>${verdict.rule}</bdi></code></small></p>
    ${verdict.message && html`<p class="problem"><bdi>${verdict.message}</bdi></p>`}
    ${verdict.considered && html`<${Considered} rules=${verdict.considered} />`}
    ${request && html`<h2>What would be sent</h2><${Long} text=${written(request)} />`}
    ${unshown && html`<p class="quiet"><bdi>${unshown}</bdi></p>`}
  </section>`;
}

function Considered({ rules }) {
  return html`<details>
    <summary>${rules.length} rules considered</summary>
    <div class="wide" tabindex="0" role="region" aria-label="Rules considered">
      <table>
        <thead><tr><th>rule</th><th>effect</th><th>tools</th><th>conditions</th><th>fires</th></tr></thead>
        <tbody>
          ${rules.map(
            (each) => html`<tr key=${each.rule}>
              <td><code><bdi>${each.rule}</bdi></code></td>
              <td><bdi>${[each.effect, ...each.obligations].join(", ")}</bdi></td>
              <td><code><bdi>${each.tools}</bdi></code></td>
              <td>${each.conditions.map((condition) => html`<div><bdi>${condition.field}</bdi> ${condition.operator} <bdi>${JSON.stringify(condition.value)}</bdi>: ${condition.verdict}</div>`)}</td>
              <td>${each.fires ? "yes" : "no"}</td>
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </details>`;
}

/** The request as it would stand on the wire. */
function written({ method, url, headers, body, body_bytes: bytes }) {
  const head = [`${method} ${url}`, ...headers.map(([name, value]) => `${name}: ${value}`)].join("\n");
  if (!bytes) return head;
  return `${head}\n\n${body ?? `(${bytes} bytes that are no text)`}`;
}
