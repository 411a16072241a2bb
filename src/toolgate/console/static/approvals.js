// What waits for a person's yes, as it comes and goes.
import { ask } from "./api.js";
import { useAsked } from "./asked.js";
import { html, useState } from "./lib.js";
import { Long } from "./result.js";
import { to } from "./route.js";

const EVERY = 2000; // milliseconds

export function Approvals({ route, session }) {
  const state = route.query.get("state") ?? "pending";
  const { value, problem, again } = useAsked(`/v1/approvals?state=${encodeURIComponent(state)}`, { every: EVERY });
  const admin = session.principal.roles.includes("admin");
  const waiting = value?.approvals ?? [];
  return html`<section>
    <h1>Approvals</h1>
    <div class="tabs">
      ${["pending", "approved", "denied"].map((each) => html`<a class="button" key=${each} href=${to("approvals", "", { state: each })} aria-current=${each === state ? "true" : undefined}>${each}</a>`)}
    </div>
    ${!admin && html`<p class="quiet">These are your own calls. Somebody with the role admin answers them.</p>`}
    <p role="alert" class="problem">${problem?.message ?? ""}</p>
    ${value && html`<p role="status">${said(waiting.length, state)}</p>`}
    <ul class="cards">
      ${waiting.map((each) => html`<${Waiting} key=${each.id} approval=${each} admin=${admin} me=${session.principal} chosen=${each.id === route.rest} onAnswered=${again} />`)}
    </ul>
  </section>`;
}

function said(count, state) {
  if (!count) return state === "pending" ? "Nothing waits." : `Nothing is ${state} and still open.`;
  const calls = count === 1 ? "1 call" : `${count} calls`;
  return state === "pending" ? `${calls} ${count === 1 ? "waits" : "wait"}, the oldest first.` : `${calls} ${state}; an answer may still be changed.`;
}

function Waiting({ approval, admin, me, chosen, onAnswered }) {
  const [reason, setReason] = useState("");
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const { id, tool, caller, acting_for: acting, arguments: kept } = approval;
  const own = caller === me.id && approval.tenant === me.tenant;
  const answer = async (decision) => {
    setBusy(true);
    setProblem("");
    try {
      await ask(`/v1/approvals/${id}`, { method: "POST", body: { decision, reason: reason || null } });
      onAnswered();
    } catch (error) {
      setProblem(error.message);
    } finally {
      setBusy(false);
    }
  };
  return html`<li class="card" aria-current=${chosen ? "true" : undefined}>
    <h2><bdi>${caller}</bdi> wants to call <a href=${to("tools", tool)}><bdi>${tool}</bdi></a></h2>
    <p class="quiet">
      ${acting.length > 0 && html`for <bdi>${acting.join(", for ")}</bdi> · `}asked ${clock(approval.asked)}, until ${clock(approval.expires)} ·
      <a href=${to("audit", "", { type: "approval.*" })}>in the audit</a>
      ${approval.by && html` · ${approval.state} by <bdi>${approval.by}</bdi>${approval.reason && html`: <bdi>${approval.reason}</bdi>`}`}
    </p>
    <${Long} text=${kept.values ? JSON.stringify(kept.values, null, 2) : `arguments named ${(kept.names ?? []).join(", ")}`} most=${4000} />
    ${admin && own && html`<p class="quiet">It is your own call; another admin may answer it.</p>`}
    ${admin &&
    !own &&
    html`<form onSubmit=${(event) => event.preventDefault()}>
      <label for=${`why-${id}`}>Reason, told to who is denied</label>
      <input id=${`why-${id}`} maxlength="500" value=${reason} onInput=${(event) => setReason(event.target.value)} />
      <div class="actions">
        ${approval.state !== "approved" && html`<button class="main" type="button" disabled=${busy} onClick=${() => answer("approve")}>Approve once</button>`}
        ${approval.state !== "denied" && html`<button type="button" disabled=${busy} onClick=${() => answer("deny")}>Deny</button>`}
      </div>
      <p role="alert" class="problem">${problem}</p>
    </form>`}
  </li>`;
}

/** A moment as the reader's clock shows it; the whole of it on hover. */
export function clock(moment) {
  const at = new Date(moment);
  const today = at.toDateString() === new Date().toDateString();
  return html`<time datetime=${moment} title=${moment}>${today ? at.toLocaleTimeString() : at.toLocaleString()}</time>`;
}
