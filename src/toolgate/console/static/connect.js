// How each MCP client is told of this server. Sources: the clients' own documentation, autumn 2026.
import { root } from "./api.js";
import { copied, html, useState } from "./lib.js";

const url = () => `${root()}/mcp`;
const json = (key, entry) => JSON.stringify({ [key]: { toolgate: entry } }, null, 2);
/** Where a key goes that no file should hold. */
const BEARER = "Bearer ${TOOLGATE_KEY}";

const CLIENTS = [
  ["Claude Code", "a shell, in your project", () => `claude mcp add --transport http toolgate ${url()} --header 'Authorization: ${BEARER}'`],
  ["Claude Desktop", "Settings, Connectors, Add custom connector", url],
  ["VS Code", ".vscode/mcp.json", () => json("servers", { type: "http", url: url(), headers: { Authorization: "Bearer ${input:toolgate}" } })],
  ["Cursor", "~/.cursor/mcp.json", () => json("mcpServers", { url: url(), headers: { Authorization: "Bearer ${env:TOOLGATE_KEY}" } })],
  ["Codex", "~/.codex/config.toml", () => `[mcp_servers.toolgate]\nurl = "${url()}"\nbearer_token_env_var = "TOOLGATE_KEY"`],
  ["Gemini CLI", "~/.gemini/settings.json", () => json("mcpServers", { httpUrl: url(), headers: { Authorization: BEARER } })],
  ["Windsurf", "~/.codeium/windsurf/mcp_config.json", () => json("mcpServers", { serverUrl: url(), headers: { Authorization: "Bearer ${env:TOOLGATE_KEY}" } })],
  ["Zed", "settings.json", () => json("context_servers", { url: url() })],
  ["Cline", "cline_mcp_settings.json", () => json("mcpServers", { type: "streamableHttp", url: url() })],
  ["OpenCode", "~/.config/opencode/opencode.json", () => json("mcp", { type: "remote", url: url(), oauth: false, headers: { Authorization: "Bearer {env:TOOLGATE_KEY}" } })],
  ["Copilot CLI", "~/.copilot/mcp-config.json", () => json("mcpServers", { type: "http", url: url() })],
];

export function Connect() {
  const [at, setAt] = useState(0);
  const [said, setSaid] = useState("");
  const [name, goes, snippet] = CLIENTS[at];
  const choose = (event) => {
    setAt(Number(event.target.value));
    setSaid("");
  };
  const copy = async () => {
    setSaid((await copied(snippet())) ? "copied" : "The browser keeps its clipboard to itself here; the text is below.");
  };
  return html`<h2>Connect a client</h2>
    <div class="actions">
      <select class="copy" aria-label="Client" value=${String(at)} onChange=${choose}>
        ${CLIENTS.map(([each], index) => html`<option key=${each} value=${String(index)}>${each}</option>`)}
      </select>
      <button type="button" onClick=${copy}>Copy</button>
      <span role="status" class="quiet">${said}</span>
    </div>
    <p class="quiet">${name}: this goes into ${goes}. On loopback without keys, leave the header out.</p>
    <pre tabindex="0">${snippet()}</pre>`;
}
