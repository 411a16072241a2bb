// JSON whose integers stay what they are: JavaScript's own numbers end at 2^53, and ids of others are often longer.

/** What JSON `text` says; an integer that no number here can hold is kept as it is written. */
export const parse = (text) => JSON.parse(text, /\d{16}/.test(text) ? exact : undefined);

/** The integer that `text` writes in decimal digits. */
export function integer(text) {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : JSON.rawJSON(String(BigInt(text)));
}

const exact = (_, value, { source }) => (Number.isInteger(value) && !Number.isSafeInteger(value) ? JSON.rawJSON(source) : value);
