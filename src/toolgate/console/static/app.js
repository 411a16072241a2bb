// The page: who is there, where they are, and the parts that fit.
import { ask, signedOut } from "./api.js";
import { useCatalogue } from "./catalogue.js";
import { Dock } from "./dock.js";
import { kept } from "./kept.js";
import { html, render, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./lib.js";
import { PAGES } from "./pages.js";
import { openPalette, Palette } from "./palette.js";
import { useRoute } from "./route.js";
import { SignIn, Who } from "./signin.js";

function App() {
  const [session, setSession] = useState(null);
  const [problem, setProblem] = useState("");
  const route = useRoute();
  const look = () => ask("/console/session").then((found) => (setSession(found), setProblem("")), (error) => setProblem(error.message));
  useEffect(() => {
    look();
    addEventListener("focus", look); // somebody else may have signed in, or out, in another tab
    signedOut.addEventListener("ended", look);
    return () => {
      removeEventListener("focus", look);
      signedOut.removeEventListener("ended", look);
    };
  }, []);
  const who = session?.principal?.id;
  const catalogue = useCatalogue(who && [who, ...session.principal.roles].join(" "));
  const memory = useMemo(() => kept(who), [who]);
  const [docked, setDocked] = useState(null); // null: not opened yet
  useLayoutEffect(() => {
    const pressed = (event) => {
      if (event.key.toLowerCase() !== "j" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      setDocked((open) => !open);
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
  const main = useRef();
  const page = PAGES.find((each) => each.id === route.page);
  useEffect(() => {
    document.title = `${page?.title ?? "Sign in"} · Toolgate`;
  }, [page]);
  if (problem && !session) return html`<main class="alone"><h1>Toolgate</h1><p role="alert" class="problem">${problem}</p></main>`;
  if (!session) return html`<main class="alone"><p>…</p></main>`;

  const home = () => look().then(() => (location.hash = "#/tools"));
  const signedIn = () => (route.page === "sign-in" ? home() : look()); // else they go on where their session ended
  const signing = !session.principal || route.page === "sign-in";
  return html`
    <a class="skip" href="#main" onClick=${(event) => (event.preventDefault(), main.current.focus())}>Skip to the content</a>
    <header>
      <a class="brand" href="#/tools">Toolgate</a>
      ${!signing && html`<${Navigation} at=${route.page} />
          <button class="search" onClick=${openPalette}>Search <kbd>Ctrl K</kbd></button>
          <button aria-expanded=${String(docked === true)} onClick=${() => setDocked(!docked)}>Agent <kbd>Ctrl J</kbd></button>`}
      <${Who} session=${session} onOut=${home} />
    </header>
    <main id="main" tabindex="-1" ref=${main}>
      ${signing && html`<${SignIn} session=${session} failed=${route.query.get("failed")} onDone=${signedIn} />`}
      ${!signing && page && html`<${page.show} key=${page.id} route=${route} session=${session} catalogue=${catalogue} kept=${memory} />`}
      ${!signing && !page && html`<section><h1>Nothing here</h1><p>There is no page <q>${route.page}</q>.</p></section>`}
    </main>
    ${!signing && docked !== null && html`<${Dock} key=${who} open=${docked} onClose=${() => setDocked(false)} />`}
    ${!signing && html`<${Palette} catalogue=${catalogue} kept=${memory} />`}
  `;
}

function Navigation({ at }) {
  return html`<nav aria-label="Pages">
    ${PAGES.map(({ id, title }) => html`<a key=${id} href=${`#/${id}`} aria-current=${id === at ? "page" : undefined}>${title}</a>`)}
  </nav>`;
}

render(html`<${App} />`, document.body);
