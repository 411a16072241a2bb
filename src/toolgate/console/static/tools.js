// All tools that the person may see; one of them where the address names it.
import { Finder } from "./finder.js";
import { html, useLayoutEffect } from "./lib.js";
import { to } from "./route.js";
import { Tool } from "./tool.js";

const ROWS = 40; // a page has room to look around

export function Tools({ route, catalogue, kept }) {
  useLayoutEffect(() => {
    if (!route.rest) document.getElementById("finder")?.focus();
  }, [route.rest]);
  if (route.rest) {
    const brief = catalogue.entries.find(({ tool }) => tool.name === route.rest)?.tool;
    return html`<${Tool} key=${`${route.rest}?${route.query}`} name=${route.rest} brief=${brief} query=${route.query} kept=${kept} />`;
  }
  const pick = (name) => (location.hash = to("tools", name));
  return html`<section>
    <h1>Tools</h1>
    ${catalogue.problem && html`<p role="alert" class="problem">${catalogue.problem}</p>`}
    ${catalogue.ready && html`<${Finder} id="finder" entries=${catalogue.entries} kept=${kept.read()} onPick=${pick} most=${ROWS} />`}
  </section>`;
}
