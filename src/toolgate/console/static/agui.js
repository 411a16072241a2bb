// AG-UI 1.0 from the reader's side: a stream of events, and what a conversation is after each of them. Pure but for the reading.

/**
 * @typedef {{kind: "user" | "text" | "thought", id: string, text: string}
 *   | {kind: "call", id: string, tool: string, args: string, result: null | {text: string, failed: boolean, code: string | null, cost: object | null,
 *      seconds: number | null, replayed: boolean}}
 *   | {kind: "routed", provider: string, model: string, reasons: string[], scores: Record<string, any>}
 *   | {kind: "noted", text: string} | {kind: "problem", code: string, text: string}} Item
 * @typedef {{items: Item[], status: "idle" | "running" | "waiting" | "done" | "stopped" | "failed", asked: object[], spent: object | null,
 *   usage: object[], report: object | null, run: string | null}} Talk
 *   asked: interrupts that wait for an answer; spent: cost so far and what is left; usage: tokens by provider and model
 */

/** @type {Talk} */
export const NOTHING = { items: [], status: "idle", asked: [], spent: null, usage: [], report: null, run: null };

/** The events of an answer, as they come. @param {Response} answer */
export async function* eventsOf(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split(/\r?\n\r?\n/);
    rest = blocks.pop();
    for (const block of blocks) {
      const data = block.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trimStart());
      if (data.length) yield JSON.parse(data.join("\n"));
    }
  }
}

/** The conversation after `event`; events that nobody knows change nothing. @param {Talk} talk @returns {Talk} */
export function after(talk, event) {
  const { items } = talk;
  const ours = event.metadata?.toolgate ?? {};
  switch (event.type) {
    case "RUN_STARTED":
      return { ...talk, status: "running", asked: [], run: ours.run ?? talk.run };
    case "TEXT_MESSAGE_START":
      return { ...talk, items: [...items, { kind: "text", id: event.messageId, text: "" }] };
    case "REASONING_MESSAGE_START":
      return { ...talk, items: [...items, { kind: "thought", id: event.messageId, text: "" }] };
    case "TEXT_MESSAGE_CONTENT":
    case "REASONING_MESSAGE_CONTENT":
      return { ...talk, items: changed(items, event.messageId, (item) => ({ ...item, text: item.text + event.delta })) };
    case "TOOL_CALL_START":
      return { ...talk, items: [...items, { kind: "call", id: event.toolCallId, tool: event.toolCallName, args: "", result: null }] };
    case "TOOL_CALL_ARGS":
      return { ...talk, items: changed(items, event.toolCallId, (item) => ({ ...item, args: item.args + event.delta })) };
    case "TOOL_CALL_RESULT": {
      const { failed = false, code = null, cost = null, seconds = null, replayed = false } = ours;
      return { ...talk, items: changed(items, event.toolCallId, (item) => ({ ...item, result: { text: event.content, failed, code, cost, seconds, replayed } })) };
    }
    case "MESSAGES_SNAPSHOT":
      return { ...talk, items: withoutWithdrawn(items, event.messages) };
    case "CUSTOM":
      return custom(talk, event.name, event.value);
    case "RUN_FINISHED":
      return finished({ ...talk, usage: more(talk.usage, event.usage), report: event.result ?? talk.report }, event.outcome ?? {});
    case "RUN_ERROR": {
      const problem = { kind: "problem", code: event.code ?? "error", text: event.message };
      return { ...talk, status: "failed", usage: more(talk.usage, event.usage), items: [...items, problem] };
    }
    default:
      return talk;
  }
}

function custom(talk, name, value) {
  if (name === "toolgate.spent") return { ...talk, spent: value };
  if (name === "toolgate.routed") return { ...talk, items: [...talk.items, { kind: "routed", ...value }] };
  if (name === "toolgate.noted") return { ...talk, items: [...talk.items, { kind: "noted", text: value.text }] };
  if (name === "toolgate.withdrawn") return { ...talk, items: [...talk.items, { kind: "noted", text: `begun again: ${value.reason}` }] };
  return talk;
}

function finished(talk, outcome) {
  if (outcome.type === "interrupt") return { ...talk, status: "waiting", asked: outcome.interrupts ?? [] };
  if (outcome.type === "cancelled") return { ...talk, status: "stopped" };
  const why = talk.report?.status !== "done" && talk.report?.reason;
  return { ...talk, status: "done", items: why ? [...talk.items, { kind: "noted", text: why }] : talk.items };
}

/** What the model took back is not among the messages any more. */
function withoutWithdrawn(items, messages) {
  const there = new Set(messages.flatMap((message) => [message.id, ...(message.toolCalls ?? []).map((call) => call.id)]));
  return items.filter(({ kind, id }) => (kind !== "text" && kind !== "call" && kind !== "thought") || there.has(id) || kind === "thought");
}

function changed(items, id, change) {
  const at = items.findLastIndex((item) => item.id === id);
  return at < 0 ? items : items.with(at, change(items[at]));
}

/** Tokens by provider and model: AG-UI counts those of each run for itself. */
function more(usage, others = []) {
  const sums = new Map(usage.map((each) => [`${each.provider}/${each.model}`, each]));
  for (const each of others) {
    const name = `${each.provider}/${each.model}`;
    const { inputTokens = 0, outputTokens = 0 } = sums.get(name) ?? {};
    sums.set(name, { ...each, inputTokens: inputTokens + (each.inputTokens ?? 0), outputTokens: outputTokens + (each.outputTokens ?? 0) });
  }
  return [...sums.values()];
}

/** The conversation as AG-UI's messages, for the next run of the thread. @param {Item[]} items */
export function messagesOf(items) {
  return items.flatMap((item) => {
    if (item.kind === "user") return [{ id: item.id, role: "user", content: item.text }];
    if (item.kind === "text") return [{ id: item.id, role: "assistant", content: item.text }];
    if (item.kind !== "call") return [];
    const call = { id: item.id, type: "function", function: { name: item.tool, arguments: item.args || "{}" } };
    const said = { id: `${item.id}-call`, role: "assistant", toolCalls: [call] };
    return item.result ? [said, { id: `${item.id}-result`, role: "tool", toolCallId: item.id, content: item.result.text }] : [said];
  });
}
