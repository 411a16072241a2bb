/** `$0.005`, `$20.00`: at least two decimals, and as many as it needs. @param {{micros: number}} amount of micro-US-dollars */
export function dollars({ micros }) {
  const [whole, part] = (Math.abs(micros) / 1e6).toFixed(6).split(".");
  return `${micros < 0 ? "-" : ""}$${whole}.${part.replace(/0+$/, "").padEnd(2, "0")}`;
}
