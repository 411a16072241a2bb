// One tool: what it does, a form for its arguments, what would happen, and what did.
import { ask, problemOf, read, root, send } from "./api.js";
import { parse } from "./exact.js";
import { Cost, Effect, Method } from "./finder.js";
import { Arguments } from "./form.js";
import { copied, html, useEffect, useLayoutEffect, useRef, useState } from "./lib.js";
import { Preview } from "./preview.js";
import { Result } from "./result.js";
import { to } from "./route.js";
import { initial } from "./schema.js";
import { snippets } from "./snippets.js";

const AGAIN = 2000; // milliseconds between two looks at whether somebody has answered

/** @param {{name: string, brief: object | undefined, query: URLSearchParams, kept: object}} props */
export function Tool({ name, brief, query, kept }) {
  const [tool, setTool] = useState(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    setTool(null);
    setProblem("");
    ask(`/v1/tools/${encodeURIComponent(name)}`).then(setTool, (error) => setProblem(error.message));
  }, [name]);
  if (problem) return html`<section><h1><bdi>${name}</bdi></h1><p role="alert" class="problem">${problem}</p><p><a href="#/tools">All tools</a></p></section>`;
  if (!tool) return html`<section><h1><bdi>${name}</bdi></h1><p>…</p></section>`;
  return html`<${Ready} key=${name} tool=${tool} brief=${brief} query=${query} kept=${kept} />`;
}

function Ready({ tool, brief, query, kept }) {
  const { name, inputSchema: schema } = tool;
  const [values, setValues] = useState(() => given(query) ?? initial(schema, schema) ?? {});
  const [drawn, setDrawn] = useState(0); // a form of its own for values that come from elsewhere
  const [preview, setPreview] = useState(null);
  const [result, setResult] = useState(null);
  const [busy, setBusy] = useState("");
  const [pinned, setPinned] = useState(() => kept.read().pinned.includes(name));
  const heading = useRef();
  const form = useRef();
  const running = useRef(null);
  useLayoutEffect(() => heading.current.focus(), []);
  useEffect(() => () => running.current?.abort(), []);

  const replace = (next) => {
    setValues(next);
    setDrawn((count) => count + 1);
  };
  const look = async () => {
    if (!form.current.reportValidity()) return;
    setBusy("preview");
    setResult(null);
    try {
      setPreview(await ask(`/v1/tools/${encodeURIComponent(name)}/preview`, { method: "POST", body: { arguments: values } }));
    } catch (error) {
      setPreview({ problem: { code: error.code, message: error.message, details: error.details } });
    } finally {
      setBusy("");
    }
  };
  const run = async () => {
    if (!form.current.reportValidity()) return;
    setBusy("run");
    setPreview(null);
    setResult(null);
    kept.used(name);
    running.current = new AbortController();
    const began = performance.now();
    try {
      const answer = await send(`/v1/tools/${encodeURIComponent(name)}/call`, { method: "POST", body: { arguments: values }, signal: running.current.signal });
      const outcome = await read(answer).catch(() => ({ problem: problemOf(answer.status, null) }));
      setResult({ status: answer.status, ms: performance.now() - began, outcome });
    } catch (error) {
      const told = error.name === "AbortError" ? { code: "cancelled", message: "You stopped it. What had begun on the other side may have happened." } : error;
      setResult({ status: 0, ms: performance.now() - began, outcome: { problem: { code: told.code, message: told.message } } });
    } finally {
      setBusy("");
    }
  };
  const submit = (event) => {
    event.preventDefault();
    run();
  };
  const pressed = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      if (event.shiftKey) look();
      else run();
    }
  };
  const pin = () => {
    kept.pin(name);
    setPinned(!pinned);
  };
  const problem = result?.outcome.problem ?? preview?.problem;
  const problems = problem?.details?.problems ?? [];
  const pending = result?.outcome.problem?.code === "approval_needed" ? result.outcome.problem.details?.pending : null;
  return html`<article onKeyDown=${pressed}>
    <h1 ref=${heading} tabindex="-1"><bdi>${tool.title ?? name}</bdi></h1>
    <p class="facts">
      <code><bdi>${name}</bdi></code>
      ${brief && html`<${Method} request=${brief.request} /><${Effect} effect=${brief.effect} /><${Cost} price=${brief.price} />`}
      <span class="fact"><bdi>${tool.integration}</bdi></span>
      <button type="button" class="plain" aria-pressed=${String(pinned)} onClick=${pin}>${pinned ? "Unpin" : "Pin"}</button>
    </p>
    ${brief?.request && html`<p class="quiet mono"><bdi>${brief.request}</bdi></p>`}
    <p class="about"><bdi>${tool.description}</bdi></p>
    <form ref=${form} onSubmit=${submit} noValidate>
      <${Arguments} key=${drawn} schema=${schema} value=${values} onChange=${setValues} problems=${problems} />
      <div class="actions">
        <button class="main" disabled=${busy !== ""} title="Ctrl+Enter">${result && !pending ? "Run again" : "Run"}</button>
        <button type="button" disabled=${busy !== ""} title="Ctrl+Shift+Enter" onClick=${look}>Dry run</button>
        ${busy === "run" && html`<button type="button" onClick=${() => running.current.abort()}>Stop</button>`}
        <${Copy} name=${name} values=${values} />
      </div>
    </form>
    <div aria-live="polite">
      ${busy && html`<p class="quiet">${busy === "run" ? "Running…" : "Looking…"}</p>`}
      ${preview && html`<${Preview} preview=${preview} />`}
      ${result && html`<${Result} result=${result} onArguments=${replace} />`}
      ${pending && html`<${Waiting} id=${pending} onRun=${run} />`}
    </div>
  </article>`;
}

/** A call that needs a person's yes: says when it has one, and then runs it. */
function Waiting({ id, onRun }) {
  const [state, setState] = useState("pending");
  const [by, setBy] = useState("");
  useEffect(() => {
    let over = false;
    const look = async () => {
      for (const each of ["approved", "denied"]) {
        const found = await ask(`/v1/approvals?state=${each}`).catch(() => null);
        const answered = found?.approvals.find((approval) => approval.id === id);
        if (answered && !over) {
          setState(each);
          setBy(answered.by);
          return;
        }
      }
      if (!over) timer = setTimeout(look, AGAIN);
    };
    let timer = setTimeout(look, 0);
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [id]);
  if (state === "pending") return html`<p>It waits for somebody else's yes, as <a href=${to("approvals", id)}>${id.slice(0, 8)}…</a></p>`;
  if (state === "denied") return html`<p class="problem"><bdi>${by}</bdi> said no.</p>`;
  return html`<p><bdi>${by}</bdi> said yes, once, for exactly this call. <button type="button" class="main" onClick=${onRun}>Run it now</button></p>`;
}

function Copy({ name, values }) {
  const [said, setSaid] = useState("");
  const link = `${location.origin}${location.pathname}${to("tools", name, { args: JSON.stringify(values) })}`;
  const forms = { ...snippets(name, values, root()), "Link to this": link };
  const copy = async (event) => {
    const chosen = event.target.value;
    event.target.value = "";
    if (!chosen) return;
    setSaid((await copied(forms[chosen])) ? `${chosen} copied` : forms[chosen]);
  };
  return html`<select class="copy" aria-label="Copy as" onChange=${copy}>
      <option value="">Copy as…</option>
      ${Object.keys(forms).map((form) => html`<option key=${form}>${form}</option>`)}
    </select>
    <span role="status" class="quiet"><bdi>${said}</bdi></span>`;
}

/** Arguments that a link brought. */
function given(query) {
  try {
    const value = parse(query.get("args") ?? "");
    return typeof value === "object" && value !== null && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}
