// The same call elsewhere: in a terminal, by curl, over MCP. Pure.

/** @param {string} name @param {object} values the arguments @param {string} root of this server */
export function snippets(name, values, root) {
  const json = JSON.stringify(values);
  const body = JSON.stringify({ arguments: values });
  return {
    "Terminal command": `toolgate tools call ${quoted(name)} --args ${quoted(json)}`,
    curl: [
      `curl -X POST ${quoted(`${root}/v1/tools/${encodeURIComponent(name)}/call`)}`,
      `-H 'content-type: application/json' -H "authorization: Bearer $TOOLGATE_KEY"`,
      `-d ${quoted(body)}`,
    ].join(" \\\n  "),
    "MCP JSON": JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name, arguments: values } }, null, 2),
  };
}

/** One word for a POSIX shell, whatever it holds. */
export const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);
