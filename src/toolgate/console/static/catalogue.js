// The tools that the person may see, as short as people choose from: fetched when they sign in, come back, or change what is served.
import { ask } from "./api.js";
import { indexed } from "./fuzzy.js";
import { useEffect, useState } from "./lib.js";

const NOTHING = { entries: [], ready: false, problem: "" };
const AGAIN = 2000; // milliseconds until who did not answer is asked once more

/** Says that other tools are served now. */
export const changed = () => dispatchEvent(new Event("toolgate:changed"));

/** @param {string | undefined} who another person sees other tools; undefined: nobody does */
export function useCatalogue(who) {
  const [catalogue, setCatalogue] = useState(NOTHING);
  useEffect(() => {
    setCatalogue(NOTHING);
    if (who === undefined) return undefined;
    let gone, timer;
    const stop = () => {
      gone?.abort();
      clearTimeout(timer);
    };
    const look = () => {
      stop();
      gone = new AbortController();
      all(gone.signal).then(
        (tools) => setCatalogue({ entries: indexed(tools), ready: true, problem: "" }),
        (error) => {
          if (error.name === "AbortError") return;
          setCatalogue((before) => (before.ready ? before : { ...NOTHING, problem: error.message }));
          timer = setTimeout(look, AGAIN);
        },
      );
    };
    look();
    const events = ["focus", "toolgate:changed"];
    events.forEach((name) => addEventListener(name, look));
    return () => {
      stop();
      events.forEach((name) => removeEventListener(name, look));
    };
  }, [who]);
  return catalogue;
}

async function all(signal) {
  const tools = [];
  let cursor = "";
  do {
    const page = await ask(`/v1/tools?format=brief&limit=1000${cursor && `&cursor=${encodeURIComponent(cursor)}`}`, { signal });
    tools.push(...page.tools);
    cursor = page.next_cursor ?? "";
  } while (cursor);
  return tools;
}
