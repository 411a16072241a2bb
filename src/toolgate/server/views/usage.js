function show(result) {
  const report = result.structuredContent;
  if (result.isError || !report) return failure(result);
  const table = make("table");
  const head = make("tr");
  const columns = Object.keys(report.usage[0] || {});
  const isNumber = (name) => !["day", "tool", "user", "tenant", "session", "integration"].includes(name);
  for (const name of columns) head.append(make("th", name, { class: isNumber(name) ? "number" : "" }));
  table.append(head);
  for (const row of report.usage) {
    const line = make("tr");
    for (const name of columns) line.append(make("td", row[name], { class: isNumber(name) ? "number" : "" }));
    table.append(line);
  }
  view.replaceChildren(
    make("h1", `Used from ${report.since} to ${report.until}`),
    report.usage.length ? table : make("p", "Nothing was used."),
  );
}
