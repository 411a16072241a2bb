// The way to `/v1`, the same that scripts use. The session is in a cookie that no script can read.

import { parse } from "./exact.js";

/** Why there is no good answer, in the server's words. */
export class Problem extends Error {
  /**
   * @param {number} status of HTTP; 0: nobody answered
   * @param {{code: string, message: string, details?: object, retry_after?: number}} told
   */
  constructor(status, told) {
    super(told.message);
    this.status = status;
    this.code = told.code;
    this.details = told.details ?? {};
    this.retryAfter = told.retry_after;
  }
}

/** Of this server as the browser knows it, which may be below a path of a proxy's: without a slash at its end. */
export const root = () => new URL("..", document.baseURI).href.slice(0, -1);

/** @param {string} path such as `/v1/tools` */
export const under = (path) => `..${path}`;

export const signedOut = new EventTarget();
/** Hears `ended` when the server no longer knows who we are. */

/**
 * The JSON that is answered.
 * @param {string} path such as `/v1/tools`
 * @param {{method?: string, body?: unknown, headers?: Record<string, string>, signal?: AbortSignal}} [how]
 * @throws {Problem}
 */
export async function ask(path, how = {}) {
  const answer = await send(path, how);
  const value = answer.status === 204 ? null : await read(answer).catch(() => null);
  if (answer.ok) return value;
  throw problemOf(answer.status, value);
}

/** The answer itself, whatever its status: for streams, files, and outcomes that are answers even where they are problems. */
export async function send(path, { method = "GET", body, headers = {}, signal } = {}) {
  const sent = body === undefined ? undefined : JSON.stringify(body);
  const type = sent === undefined ? {} : { "content-type": "application/json" };
  let answer;
  try {
    answer = await fetch(under(path), { method, body: sent, headers: { ...type, ...headers }, signal, credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { code: "unreachable", message: "The server does not answer. Is it still running?" });
  }
  if (answer.status === 401) signedOut.dispatchEvent(new Event("ended"));
  return answer;
}

export const read = async (answer) => parse(await answer.text());

export function problemOf(status, value) {
  return new Problem(status, value?.problem ?? { code: "error", message: `The server answered ${status}.` });
}
