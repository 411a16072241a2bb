function field(name, schema, required) {
  const kind = Array.isArray(schema.type) ? schema.type.find((each) => each !== "null") : schema.type;
  let input;
  if (Array.isArray(schema.enum)) {
    input = make("select");
    if (!required) input.append(make("option", "", { value: "" }));
    for (const value of schema.enum) input.append(make("option", value, { value: JSON.stringify(value) }));
    input.read = () => (input.value === "" ? undefined : JSON.parse(input.value));
  } else if (kind === "boolean") {
    input = make("select");
    for (const value of required ? ["false", "true"] : ["", "true", "false"]) input.append(make("option", value, { value }));
    input.read = () => (input.value === "" ? undefined : input.value === "true");
  } else if (kind === "integer" || kind === "number") {
    input = make("input", undefined, { type: "number", step: kind === "integer" ? "1" : "any" });
    input.read = () => (input.value === "" ? undefined : Number(input.value));
  } else if (kind === "string") {
    input = make("input", undefined, { type: schema.format === "password" || schema.writeOnly ? "password" : "text" });
    input.read = () => (input.value === "" && !required ? undefined : input.value);
  } else {
    input = make("textarea", undefined, { rows: "3", placeholder: "JSON" });
    input.read = () => (input.value.trim() === "" ? undefined : JSON.parse(input.value));
  }
  input.id = `field-${name}`;
  if (required) input.setAttribute("aria-required", "true");
  return input;
}

function show(result) {
  const tool = result.structuredContent;
  if (result.isError || !tool) return failure(result);
  const form = make("div", undefined, { role: "form", "aria-label": tool.title || tool.name });  // a <form> is not sent in a sandboxed frame
  const required = new Set(tool.inputSchema.required || []);
  const fields = new Map();
  for (const [name, schema] of Object.entries(tool.inputSchema.properties || {})) {
    const input = field(name, schema && typeof schema === "object" ? schema : {}, required.has(name));
    fields.set(name, input);
    form.append(make("label", required.has(name) ? `${name} *` : name, { for: input.id }), input);
    if (schema && schema.description) form.append(make("small", schema.description));
  }
  const answer = make("pre", undefined, { "aria-live": "polite" });
  const button = make("button", tool.annotations.readOnlyHint ? "Call" : "Call (this may change something)", { type: "button" });
  form.append(button);
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const given = {};
      for (const [name, input] of fields) {
        const value = input.read();
        if (value !== undefined) given[name] = value;
      }
      const called = await ask("tools/call", { name: tool.name, arguments: given });
      answer.textContent = (called.content || []).map((block) => block.text ?? `(${block.type})`).join("\n");
      called.isError ? answer.setAttribute("role", "alert") : answer.removeAttribute("role");
    } catch (error) {
      answer.textContent = error.message;
      answer.setAttribute("role", "alert");
    } finally {
      button.disabled = false;
    }
  });
  view.replaceChildren(make("h1", tool.title || tool.name), make("p", tool.description), form, answer);
}
