// Add an API from its OpenAPI description: looked at first, written only then.
import { ask } from "./api.js";
import { Findings } from "./integrations.js";
import { html, useState } from "./lib.js";

export function Adding({ onAdded }) {
  const [values, setValues] = useState({ name: "", url: "", document: "", base_url: "", expose: "list" });
  const [looked, setLooked] = useState(null);
  const [problem, setProblem] = useState("");
  const [busy, setBusy] = useState(false);
  const set = (name) => (event) => {
    setValues({ ...values, [name]: event.target.value });
    setLooked(null); // what was looked at is not what would be added
  };
  const take = async (event) => {
    const [file] = event.target.files;
    const document = (await file?.text()) ?? "";
    setValues((now) => ({ ...now, document, url: document ? "" : now.url }));
    setLooked(null);
  };
  const go = async (path, then) => {
    setBusy(true);
    setProblem("");
    try {
      const body = Object.fromEntries(Object.entries(values).filter(([, value]) => value !== ""));
      then(await ask(path, { method: "POST", body }));
    } catch (error) {
      setProblem(error.message);
    } finally {
      setBusy(false);
    }
  };
  const look = (event) => {
    event.preventDefault();
    go("/v1/integrations/preview", setLooked);
  };
  return html`<form class="card" aria-label="Add an API" onSubmit=${look}>
    <label for="new-name">Name</label>
    <input id="new-name" required autocomplete="off" pattern="[A-Za-z0-9][A-Za-z0-9_\\-]*" maxlength="24" value=${values.name} onInput=${set("name")} />
    <label for="new-url">Address of its OpenAPI description, https</label>
    <input id="new-url" type="url" required autocomplete="off" disabled=${values.document !== ""} value=${values.url} onInput=${set("url")} />
    <label for="new-file">or the description as a file, JSON or YAML</label>
    <input id="new-file" type="file" accept=".json,.yaml,.yml" onChange=${take} />
    <label for="new-base">Where calls go, instead of where the description says</label>
    <input id="new-base" type="url" autocomplete="off" value=${values.base_url} onInput=${set("base_url")} />
    <label for="new-expose">Its tools are</label>
    <select id="new-expose" value=${values.expose} onChange=${set("expose")}>
      <option value="list">listed to every client</option>
      <option value="search">found by searching</option>
    </select>
    <p class="quiet">Credentials and addresses that are not public are for the operator: <code>auth</code> and <code>allow_networks</code> in its integration.yaml.</p>
    <div class="actions">
      <button disabled=${busy}>Look at it</button>
      ${looked && html`<button type="button" class="main" disabled=${busy} onClick=${() => go("/v1/integrations", onAdded)}>Add ${looked.tools.length} tools</button>`}
    </div>
    <p role="alert" class="problem">${problem}</p>
    ${looked &&
    html`<div role="status">
      <p>It defines ${looked.tools.length} tools.</p>
      <${Findings} diagnostics=${looked.diagnostics} />
      <ul class="list">
        ${looked.tools.slice(0, 50).map((tool) => html`<li key=${tool.name}><code><bdi>${tool.name}</bdi></code> <bdi>${tool.description.slice(0, 160)}</bdi> <small><bdi>${tool.request}</bdi></small></li>`)}
      </ul>
      ${looked.tools.length > 50 && html`<p class="quiet">and ${looked.tools.length - 50} more</p>`}
    </div>`}
  </form>`;
}
