// The tools that the person may see, fetched once a session, as short as people choose from.
import { ask } from "./api.js";
import { indexed } from "./fuzzy.js";
import { useEffect, useState } from "./lib.js";

const NOTHING = { entries: [], ready: false, problem: "" };

/** @param {string | undefined} who another person sees other tools; undefined: nobody does */
export function useCatalogue(who) {
  const [catalogue, setCatalogue] = useState(NOTHING);
  useEffect(() => {
    const gone = new AbortController();
    setCatalogue(NOTHING);
    if (who !== undefined)
      all(gone.signal).then(
        (tools) => setCatalogue({ entries: indexed(tools), ready: true, problem: "" }),
        (error) => error.name === "AbortError" || setCatalogue({ ...NOTHING, problem: error.message }),
      );
    return () => gone.abort();
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
