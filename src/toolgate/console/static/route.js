// Where the page is, in the hash of its address: `#/audit?tool=github_list_issues`. Links and the back button work by themselves.
import { useLayoutEffect, useState } from "./lib.js";

/** @returns {{page: string, rest: string, query: URLSearchParams}} */
export function here(hash = location.hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [page, ...rest] = path.split("/");
  return { page: page || "tools", rest: decoded(rest.join("/")), query: new URLSearchParams(query) };
}

/** The address of a page; what is empty in `query` is left out. */
export function to(page, rest = "", query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const asked = given.length ? `?${new URLSearchParams(given)}` : "";
  return `#/${page}${rest ? `/${encodeURIComponent(rest)}` : ""}${asked}`;
}

export function useRoute() {
  const [route, setRoute] = useState(() => here());
  useLayoutEffect(() => {
    const moved = () => setRoute(here());
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  return route;
}

export function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
