// The tools that the person may see.
import { ask } from "./api.js";
import { html, useEffect, useState } from "./lib.js";

export function Tools() {
  const [found, setFound] = useState(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    ask("/v1/tools?limit=100").then(setFound, (error) => setProblem(error.message));
  }, []);
  return html`<section>
    <h1>Tools</h1>
    <p role="alert" class="problem">${problem}</p>
    ${found && html`<p>${found.total} tools</p>`}
    <ul class="list">${found?.tools.map((tool) => html`<li key=${tool.name}><code>${tool.name}</code> ${tool.title}</li>`)}</ul>
  </section>`;
}
