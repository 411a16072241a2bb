// The way to the host (MCP Apps, 2026-01-26): JSON-RPC by postMessage with the parent alone. Values become text, never markup.
"use strict";
const view = document.getElementById("view");
const waiting = new Map();
let last = 0;

function make(tag, text, attributes = {}) {
  const element = document.createElement(tag);
  if (text !== undefined && text !== null) element.textContent = String(text);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function say(message) {
  window.parent.postMessage({ jsonrpc: "2.0", ...message }, "*");
}

function ask(method, params) {
  const id = ++last;
  say({ id, method, params });
  return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
}

window.addEventListener("message", (event) => {
  const message = event.data;
  if (event.source !== window.parent || !message || message.jsonrpc !== "2.0") return;
  if (message.method === undefined) {
    const asked = waiting.get(message.id);
    waiting.delete(message.id);
    if (asked) message.error ? asked.reject(new Error(message.error.message)) : asked.resolve(message.result);
  } else if (message.method === "ui/notifications/tool-result") {
    show(message.params || {});
    say({ method: "ui/notifications/size-changed", params: { width: document.body.scrollWidth, height: document.body.scrollHeight } });
  } else if (message.id !== undefined) {
    say(message.method === "ping" || message.method === "ui/resource-teardown"
      ? { id: message.id, result: {} }
      : { id: message.id, error: { code: -32601, message: "no such method" } });
  }
});

function failure(result) {
  const said = (result.content || []).filter((block) => block.type === "text").map((block) => block.text).join("\n");
  view.replaceChildren(make("p", said || "It failed.", { role: "alert" }));
}

ask("ui/initialize", {
  protocolVersion: "2026-01-26",
  appInfo: { name: "toolgate", version: "1" },
  appCapabilities: {},
}).then(() => say({ method: "ui/notifications/initialized" }));
