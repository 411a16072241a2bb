// The official AG-UI client against a server of ours: node agui.mjs FOLDER URL. Prints what it heard, as JSON.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, url] = process.argv.slice(2);
const found = createRequire(folder + "/package.json").resolve("@ag-ui/client");
const { HttpAgent, buildResumeArray } = await import(pathToFileURL(found));

const heard = { types: [], warnings: [], interrupts: [], usage: [], results: [] };
console.warn = (...words) => heard.warnings.push(words.join(" "));
console.error = console.warn;
const subscriber = {
  onEvent({ event }) {
    heard.types.push(event.type);
    if (event.type === "RUN_FINISHED") heard.usage.push(event.usage), heard.results.push(event.result);
  },
};

const agent = new HttpAgent({ url, headers: { "x-user": "ada" } });
agent.messages = [{ id: "u1", role: "user", content: "Look, then close #7" }];
await agent.runAgent({}, subscriber);
heard.interrupts = agent.pendingInterrupts;
const answers = Object.fromEntries(heard.interrupts.map((each) => [each.id, { status: "resolved", payload: { approved: true } }]));
await agent.runAgent({ resume: buildResumeArray(heard.interrupts, answers) }, subscriber);
heard.pending = agent.pendingInterrupts.length;
agent.addMessage({ id: "u2", role: "user", content: "Thank you" });
await agent.runAgent({}, subscriber);
heard.messages = agent.messages;
process.stdout.write(JSON.stringify(heard));
