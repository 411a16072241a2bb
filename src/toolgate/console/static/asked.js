// What a page asks of the server, again and again where it changes by itself.
import { ask } from "./api.js";
import { useCallback, useEffect, useRef, useState } from "./lib.js";

const AGAIN = 2000; // milliseconds

/**
 * The answer to GET `path`, the problem if there is none, and a way to ask again.
 * @param {string | null} path null: nothing is asked
 * @param {{every?: number}} [how] every: milliseconds between two times; nobody asks while the page is hidden
 */
export function useAsked(path, { every } = {}) {
  const [state, setState] = useState({ value: null, problem: null, path });
  const gone = useRef(null);
  const again = useCallback(async () => {
    gone.current?.abort();
    const mine = (gone.current = new AbortController());
    if (path === null) return;
    try {
      const value = await ask(path, { signal: mine.signal });
      if (!mine.signal.aborted) setState({ value, problem: null, path });
    } catch (problem) {
      if (!mine.signal.aborted) setState((before) => ({ value: before.path === path ? before.value : null, problem, path }));
    }
  }, [path]);
  useEffect(() => {
    again();
    const timer = every && setInterval(() => document.visibilityState === "visible" && again(), every);
    return () => {
      clearInterval(timer);
      gone.current?.abort();
    };
  }, [again, every]);
  useEffect(() => {
    if (state.problem?.status !== 0) return undefined;
    const timer = setTimeout(again, AGAIN); // nobody answered: the server may be starting
    return () => clearTimeout(timer);
  }, [state, again]);
  // What was asked before does not answer this.
  const fits = state.path === path;
  return { value: fits ? state.value : null, problem: fits ? state.problem : null, again };
}
