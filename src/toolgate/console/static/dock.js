// The agent beside every page: ask, watch what it does and what that costs, say yes or no, stop it, look at what it did before.
import { after, eventsOf, messagesOf, NOTHING } from "./agui.js";
import { ask, problemOf, send } from "./api.js";
import { html, useEffect, useRef, useState } from "./lib.js";
import { dollars } from "./money.js";
import { Runs } from "./runs.js";
import { to } from "./route.js";
import { Transcript } from "./transcript.js";

/** @param {{open: boolean, onClose: () => void}} props */
export function Dock({ open, onClose }) {
  const [thread, setThread] = useState(() => crypto.randomUUID());
  const [talk, setTalk] = useState(NOTHING);
  const [text, setText] = useState("");
  const [model, setModel] = useState("");
  const [budget, setBudget] = useState("");
  const [past, setPast] = useState(null); // null: the conversation; else the runs before
  const running = useRef(null);
  const box = useRef();
  const end = useRef();
  const busy = talk.status === "running";
  useEffect(() => {
    if (open) box.current?.focus();
  }, [open, past]);
  useEffect(() => () => running.current?.abort(), []);
  useEffect(() => end.current?.scrollIntoView?.({ block: "nearest" }), [talk.items.length, talk.status]);

  /** One AG-UI run of the thread, and what the conversation is after it. */
  const go = async (before, resume) => {
    running.current = new AbortController();
    let now = { ...before, status: "running", asked: [] };
    const hear = (event) => setTalk((now = after(now, event)));
    setTalk(now);
    const forwarded = { ...(model && { model }), ...(Number(budget) > 0 && { max_cost: Number(budget) }) };
    const body = { threadId: thread, runId: crypto.randomUUID(), messages: messagesOf(before.items), tools: [], context: [], state: {}, forwardedProps: forwarded, ...(resume && { resume }) };
    try {
      const answer = await send("/v1/agent", { method: "POST", body, signal: running.current.signal });
      if (!answer.ok) throw problemOf(answer.status, await answer.json().catch(() => null));
      for await (const event of eventsOf(answer)) hear(event);
      if (now.status === "running") hear({ type: "RUN_ERROR", code: "cut_off", message: "The stream ended before the run did. Say something to take it up again." });
    } catch (error) {
      if (error.name === "AbortError") setTalk((now = { ...now, status: "stopped" }));
      else hear({ type: "RUN_ERROR", code: error.code ?? "error", message: error.message });
    }
    return now;
  };
  const say = (words, before = talk) => go({ ...before, items: [...before.items, { kind: "user", id: crypto.randomUUID(), text: words }] });
  const submit = (event) => {
    event.preventDefault();
    if (!text.trim() || busy) return;
    setText("");
    say(text.trim());
  };
  const pressed = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
  };
  const answered = async (decisions, instead) => {
    const resume = Object.entries(decisions).map(([interruptId, approved]) => ({ interruptId, status: "resolved", payload: { approved } }));
    const then = await go(talk, resume);
    if (instead && then.status !== "failed") say(instead, then);
  };
  const fresh = () => {
    running.current?.abort();
    setThread(crypto.randomUUID());
    setTalk(NOTHING);
    setPast(null);
  };

  return html`<aside class="dock" aria-label="Agent" hidden=${!open}>
    <div class="dock-head">
      <h2>Agent</h2>
      <button type="button" class="plain" onClick=${fresh}>New</button>
      <button type="button" class="plain" aria-pressed=${String(past !== null)} onClick=${() => setPast(past === null ? "" : null)}>Past runs</button>
      <button type="button" class="plain" aria-label="Close the agent" onClick=${onClose}>Close</button>
    </div>
    ${past !== null && open && html`<${Runs} chosen=${past} onChoose=${setPast} />`}
    ${past === null &&
    html`<div class="talk" tabindex="0" role="log" aria-label="Conversation" aria-busy=${String(busy)}>
        ${!talk.items.length && html`<p class="quiet">Give the agent a task. It calls tools through the same gate as you, and may do no more than you may.</p>`}
        <${Transcript} items=${talk.items} />
        ${talk.status === "waiting" && html`<${Asked} key=${talk.asked.map(({ id }) => id).join()} asked=${talk.asked} onAnswer=${answered} onGo=${() => go(talk)} />`}
        <span ref=${end}></span>
      </div>
      <${Spent} talk=${talk} />
      <form onSubmit=${submit}>
        <label for="say">Task</label>
        <textarea id="say" rows="2" ref=${box} value=${text} onInput=${(event) => setText(event.target.value)} onKeyDown=${pressed}></textarea>
        <div class="actions">
          ${busy ? html`<button type="button" class="main" onClick=${() => running.current.abort()}>Stop</button>` : html`<button class="main">Send</button>`}
          <${Choice} model=${model} onModel=${setModel} budget=${budget} onBudget=${setBudget} />
        </div>
      </form>`}
  </aside>`;
}

/** Which model, and how much it may cost: the router's and the settings' choice where nothing is said. */
function Choice({ model, onModel, budget, onBudget }) {
  const [known, setKnown] = useState([]);
  useEffect(() => {
    // Not every server tells its providers to everybody; a name can be typed all the same.
    ask("/v1/providers").then((found) => setKnown(namesOf(found)), () => setKnown([]));
  }, []);
  return html`<details class="choice">
    <summary>${model || "the router chooses"}${budget && `, at most $${budget}`}</summary>
    <label for="model">Model, as provider/model</label>
    <input id="model" list="models" autocomplete="off" placeholder="the router chooses" value=${model} onInput=${(event) => onModel(event.target.value.trim())} />
    <datalist id="models">${known.map((name) => html`<option key=${name} value=${name} />`)}</datalist>
    <label for="most">Budget in US dollars</label>
    <input id="most" inputmode="decimal" autocomplete="off" placeholder="as the settings say" value=${budget} onInput=${(event) => onBudget(event.target.value.trim())} />
  </details>`;
}

function namesOf({ providers = [] }) {
  return providers.flatMap(({ name, models }) => [name, ...models.map(({ id }) => id)]);
}

/** Calls that wait for a yes: all are answered, then the run goes on. */
function Asked({ asked, onAnswer, onGo }) {
  const [decisions, setDecisions] = useState({});
  const [editing, setEditing] = useState("");
  const [instead, setInstead] = useState("");
  const mine = asked.filter(({ responseSchema }) => responseSchema);
  const decide = (id, yes) => {
    const all = { ...decisions, [id]: yes };
    setDecisions(all);
    if (mine.every((each) => each.id in all)) onAnswer(all, "");
  };
  const change = (event, id, tool) => {
    event.preventDefault();
    const others = Object.fromEntries(mine.map((each) => [each.id, decisions[each.id] ?? false]));
    onAnswer({ ...others, [id]: false }, `Do not make that call of ${tool} as it was. Make it with exactly these arguments instead: ${instead}`);
  };
  return html`<section class="asked" aria-label="Waits for a yes">
    ${asked.map(({ id, message, responseSchema, metadata }) => {
      const tool = metadata?.toolgate?.tool ?? "the tool";
      return html`<div key=${id} class="card">
        <p class="about"><bdi>${message}</bdi></p>
        ${!responseSchema && html`<p>An operator answers: <a href=${to("approvals", id)}>${id.slice(0, 8)}…</a> <button type="button" onClick=${onGo}>Go on</button></p>`}
        ${responseSchema &&
        !(id in decisions) &&
        html`<div class="actions">
          <button type="button" class="main" onClick=${() => decide(id, true)}>Approve once</button>
          <button type="button" onClick=${() => decide(id, false)}>Deny</button>
          <button type="button" aria-expanded=${String(editing === id)} onClick=${() => setEditing(editing === id ? "" : id)}>Change…</button>
        </div>`}
        ${id in decisions && html`<p>${decisions[id] ? "approved" : "denied"}</p>`}
        ${editing === id &&
        html`<form onSubmit=${(event) => change(event, id, tool)}>
          <label for=${`instead-${id}`}>Deny it, and ask for these arguments instead</label>
          <textarea id=${`instead-${id}`} class="json" rows="4" required value=${instead} onInput=${(event) => setInstead(event.target.value)}></textarea>
          <button>Ask for that instead</button>
        </form>`}
      </div>`;
    })}
  </section>`;
}

/** What it costs, as it grows. */
function Spent({ talk }) {
  const { spent, usage, status } = talk;
  const tokens = usage.map((each) => `${each.provider}/${each.model}: ${each.inputTokens} tokens in, ${each.outputTokens} out`);
  const words = { running: "working…", waiting: "waits for a yes", done: "done", stopped: "stopped; say something to go on", failed: "failed", idle: "" }[status];
  return html`<p class="spent quiet" role="status">
    ${words} ${spent && html`· ${dollars(spent.cost)}${spent.left && html`, ${dollars(spent.left)} of its budget left`} · ${spent.steps} steps, ${spent.calls} calls`}
    ${tokens.length > 0 && html` · <bdi>${tokens.join("; ")}</bdi>`}
  </p>`;
}
