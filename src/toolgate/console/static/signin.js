// Who is at the page, and how somebody else can be.
import { ask } from "./api.js";
import { html, useState } from "./lib.js";

const FAILED = {
  refused: "The issuer did not let you in.",
  expired: "That took too long, or was begun in another browser. Try again.",
  issuer: "The issuer cannot be asked at present; the log of this server says more.",
  identity: "The issuer let you in, but its token is not taken here; the log of this server says why.",
  unknown: "There is no such issuer here.",
};

/**
 * @param {{session: object, failed: string | null, onDone: () => void}} props
 *   session: as GET /console/session answers; failed: the word that an issuer's way back ended with
 */
export function SignIn({ session, failed, onDone }) {
  const [key, setKey] = useState("");
  const [problem, setProblem] = useState(failed ? (FAILED[failed] ?? FAILED.issuer) : "");
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    try {
      await ask("/console/session", { method: "POST", body: { key: key.trim() } });
      setKey("");
      onDone();
    } catch (error) {
      setProblem(error.message);
    } finally {
      setBusy(false);
    }
  };
  return html`<section class="alone">
    <h1>Sign in</h1>
    ${!session.principal && session.problem && html`<p>${sentence(session.problem.message)}</p>`}
    ${session.issuers.map((name) => html`<p key=${name}><a class="button" href=${`sign-in?issuer=${encodeURIComponent(name)}`}>Continue with ${name}</a></p>`)}
    <form onSubmit=${submit}>
      <label for="key">API key</label>
      <input id="key" type="password" autocomplete="off" spellcheck="false" required value=${key} onInput=${(event) => setKey(event.target.value)} />
      <button class="main" disabled=${busy}>Sign in</button>
    </form>
    <p role="alert" class="problem">${problem}</p>
    <p class="quiet">An operator makes a key with <code>toolgate keys create</code>. It is kept in a session of twelve hours that scripts cannot read.</p>
  </section>`;
}

/** The person's name with a way out, or a way in. */
export function Who({ session, onOut }) {
  const who = session.principal;
  const out = async () => {
    await ask("/console/session", { method: "DELETE" });
    onOut();
  };
  return html`<div class="who">
    ${who && html`<span title=${`tier ${who.tier}, tenant ${who.tenant}`}><bdi>${who.id}</bdi> <small>${who.roles.join(", ")}</small></span>`}
    ${session.session ? html`<button class="plain" onClick=${out}>Sign out</button>` : html`<a href="#/sign-in">Sign in</a>`}
  </div>`;
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
