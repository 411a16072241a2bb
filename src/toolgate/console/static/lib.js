// What every module takes from Preact, in one place.
import { h } from "./modules/preact.js";
import htm from "./modules/htm.js";

export { render } from "./modules/preact.js";
export { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./modules/hooks.js";

/** Something random that nothing else is called; `crypto.randomUUID` is there over https and on loopback only, as the clipboard. */
export const unique = () => crypto.getRandomValues(new Uint8Array(16)).reduce((text, byte) => text + byte.toString(16).padStart(2, "0"), "");

/** Whether `text` could be put on the clipboard. */
export const copied = async (text) => {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
};

const MOST = 10_000; // characters of a text in a line: what strangers wrote may have a megabyte, which holds the page up

/** A text from elsewhere stands in a `bdi`, where it cannot turn what is around it, and is cut where it is longer than anybody reads. */
export const html = htm.bind((type, props, ...children) => h(type, props, ...(type === "bdi" ? children.map(short) : children)));

/** What is too long for one line, cut. */
export const short = (text) => (typeof text === "object" && text ? short(JSON.stringify(text)) : typeof text === "string" && text.length > MOST ? `${text.slice(0, MOST)}… (cut; ${text.length.toLocaleString()} characters in all)` : text);
