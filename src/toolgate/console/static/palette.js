// The command palette: every tool, from every page, without a mouse.
import { Finder } from "./finder.js";
import { html, useLayoutEffect, useRef, useState } from "./lib.js";
import { to } from "./route.js";

/** @param {{catalogue: object, kept: object}} props */
export function Palette({ catalogue, kept }) {
  const dialog = useRef();
  const [opened, setOpened] = useState(0);
  // Before the page is painted: a key pressed as it appears is heard.
  useLayoutEffect(() => {
    const pressed = (event) => {
      const asked = (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey)) || (event.key === "/" && !typing(event.target));
      if (!asked) return;
      event.preventDefault();
      if (dialog.current.open && event.key !== "/") dialog.current.close();
      else open();
    };
    const open = () => {
      if (dialog.current.open) return;
      setOpened((count) => count + 1); // a finder of its own each time: it begins empty
      dialog.current.showModal();
    };
    addEventListener("keydown", pressed);
    addEventListener("toolgate:palette", open);
    const left = () => dialog.current?.close();
    addEventListener("hashchange", left);
    return () => {
      removeEventListener("hashchange", left);
      removeEventListener("keydown", pressed);
      removeEventListener("toolgate:palette", open);
    };
  }, []);
  useLayoutEffect(() => {
    if (opened) dialog.current.querySelector("input").focus();
  }, [opened]);
  const pick = (name) => {
    dialog.current.close();
    location.hash = to("tools", name);
  };
  const outside = (event) => event.target === dialog.current && dialog.current.close();
  return html`<dialog ref=${dialog} class="palette" aria-label="Command palette" onClick=${outside}>
    ${opened > 0 && html`<${Finder} key=${opened} id="palette" entries=${catalogue.entries} missing=${catalogue.ready ? "" : catalogue.problem || "…"} kept=${kept.read()} onPick=${pick} />`}
  </dialog>`;
}

export const openPalette = () => dispatchEvent(new Event("toolgate:palette"));

const typing = (target) => target.matches?.("input, textarea, select, [contenteditable]");
