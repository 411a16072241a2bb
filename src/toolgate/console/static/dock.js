// The agent beside every page: ask, watch what it does and what that costs, say yes or no, stop it, look at what it did before.
import { after, eventsOf, messagesOf, NOTHING } from "./agui.js";
import { ask, Problem, problemOf, send } from "./api.js";
import { parse } from "./exact.js";
import { Arguments } from "./form.js";
import { html, unique, useEffect, useLayoutEffect, useRef, useState } from "./lib.js";
import { dollars } from "./money.js";
import { Runs } from "./runs.js";
import { to } from "./route.js";
import { Transcript } from "./transcript.js";

const CUT_OFF = { code: "cut_off", message: "The stream ended before the run did. Say something to take it up again." };
const VOID = new Set(["invalid_arguments", "not_permitted"]);

/** @param {{open: boolean, onClose: () => void}} props */
export function Dock({ open, onClose }) {
  const [thread, setThread] = useState(() => unique());
  const [talk, setTalk] = useState(NOTHING);
  const [text, setText] = useState("");
  const [model, setModel] = useState("");
  const [budget, setBudget] = useState("");
  const [past, setPast] = useState(null); // null: the conversation; else the runs before
  const running = useRef(null);
  const box = useRef();
  const end = useRef();
  const busy = talk.status === "running";
  useLayoutEffect(() => {
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
    const body = { threadId: thread, runId: unique(), messages: messagesOf(before.items), tools: [], context: [], state: {}, forwardedProps: forwarded, ...(resume && { resume }) };
    try {
      const answer = await send("/v1/agent", { method: "POST", body, signal: running.current.signal });
      if (!answer.ok) throw problemOf(answer.status, await answer.json().catch(() => null));
      for await (const event of eventsOf(answer)) hear(event);
      if (now.status === "running") hear({ type: "RUN_ERROR", ...CUT_OFF });
    } catch (error) {
      if (error.name === "AbortError") setTalk((now = { ...now, status: "stopped" }));
      else hear({ type: "RUN_ERROR", ...(error instanceof Problem ? { code: error.code, message: error.message } : CUT_OFF) });
    }
    return now;
  };
  const say = (words, before = talk) => go({ ...before, items: [...before.items, { kind: "user", id: unique(), text: words }] });
  const submit = (event) => {
    event.preventDefault();
    if (!text.trim() || busy) return;
    setText("");
    say(text.trim());
  };
  const pressed = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
  };
  const answered = async (answers) => {
    const then = await go(talk, Object.entries(answers).map(([interruptId, payload]) => ({ interruptId, status: "resolved", payload })));
    // What cannot be meant has decided nothing, and still waits.
    if (then.status === "failed" && VOID.has(then.items.at(-1).code)) setTalk({ ...then, status: "waiting", asked: talk.asked });
  };
  const fresh = () => {
    running.current?.abort();
    setThread(unique());
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
        ${talk.status === "waiting" && html`<${Asked} key=${talk.asked.map(({ id }) => id).join()} asked=${talk.asked} items=${talk.items} onAnswer=${answered} onGo=${() => go(talk)} />`}
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
function Asked({ asked, items, onAnswer, onGo }) {
  const [answers, setAnswers] = useState({});
  const mine = asked.filter(({ responseSchema }) => responseSchema);
  const answer = (id, payload) => {
    const all = { ...answers, [id]: payload };
    setAnswers(all);
    if (mine.every((each) => each.id in all)) onAnswer(all);
  };
  return html`<section class="asked" aria-label="Waits for a yes">
    ${asked.map(
      (one) => html`<div key=${one.id} class="card">
        <p class="about"><bdi>${one.message}</bdi></p>
        ${!one.responseSchema && html`<p>An operator answers: <a href=${to("approvals", one.id)}>${one.id.slice(0, 8)}…</a> <button type="button" onClick=${onGo}>Go on</button></p>`}
        ${one.responseSchema && !(one.id in answers) && html`<${Question} one=${one} said=${saidIn(items, one)} onAnswer=${(payload) => answer(one.id, payload)} />`}
        ${one.id in answers && html`<p>${!answers[one.id].approved ? "denied" : answers[one.id].editedArgs ? "approved with other arguments" : "approved"}</p>`}
      </div>`,
    )}
  </section>`;
}

/** Yes, no, or yes to the same call with arguments of one's own. */
function Question({ one, said, onAnswer }) {
  const [changing, setChanging] = useState(false);
  const changeable = said !== null && one.responseSchema.properties?.editedArgs;
  return html`<div class="actions">
      <button type="button" class="main" onClick=${() => onAnswer({ approved: true })}>Approve once</button>
      <button type="button" onClick=${() => onAnswer({ approved: false })}>Deny</button>
      ${changeable && html`<button type="button" aria-expanded=${String(changing)} onClick=${() => setChanging(!changing)}>Change…</button>`}
    </div>
    ${changing && html`<${Changing} id=${one.id} tool=${one.metadata?.toolgate?.tool ?? ""} said=${said} onApprove=${(editedArgs) => onAnswer({ approved: true, editedArgs })} />`}`;
}

/** The call's arguments, to be changed; the server says what does not fit before anything is decided. */
function Changing({ id, tool, said, onApprove }) {
  const [schema, setSchema] = useState(null);
  const [values, setValues] = useState(said);
  const [problem, setProblem] = useState(null);
  const path = `/v1/tools/${encodeURIComponent(tool)}`;
  useEffect(() => {
    // Without its schema they are changed as JSON.
    ask(path).then((found) => setSchema(found.inputSchema), () => setSchema({ type: "object" }));
  }, [path]);
  const submit = async (event) => {
    event.preventDefault();
    if (!event.target.reportValidity()) return;
    const looked = await ask(`${path}/preview`, { method: "POST", body: { arguments: values } }).catch((error) => ({ problem: error }));
    if (looked.problem?.code === "invalid_arguments") setProblem(looked.problem);
    else onApprove(values);
  };
  if (!schema) return html`<p>…</p>`;
  return html`<form onSubmit=${submit} noValidate aria-label=${`Arguments of ${tool}`}>
    <${Arguments} form=${`edit-${id}`} schema=${schema} value=${values} onChange=${setValues} problems=${problem?.details?.problems ?? []} />
    <p role="alert" class="problem"><bdi>${problem?.message ?? ""}</bdi></p>
    <button class="main">Approve with these arguments</button>
  </form>`;
}

/** The arguments of the call that is asked about, as the model said them; null: they are not known. */
function saidIn(items, { toolCallId }) {
  try {
    return parse(items.findLast(({ kind, id }) => kind === "call" && id === toolCallId).args);
  } catch {
    return null;
  }
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
