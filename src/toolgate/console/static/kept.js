// What the browser remembers for a person: which tools they used last and which they pinned. Names only, never arguments.

const RECENT = 12;

/** @param {string} who the principal's id: several people may share a browser */
export function kept(who) {
  const key = `toolgate:${who}`;
  return {
    /** @returns {{recent: string[], pinned: string[]}} */
    read() {
      try {
        const value = JSON.parse(localStorage.getItem(key) ?? "{}");
        return { recent: names(value.recent), pinned: names(value.pinned) };
      } catch {
        return { recent: [], pinned: [] };
      }
    },
    used(name) {
      const { recent, pinned } = this.read();
      this.write({ recent: [name, ...recent.filter((each) => each !== name)].slice(0, RECENT), pinned });
    },
    /** Pin a tool, or let it go. */
    pin(name) {
      const { recent, pinned } = this.read();
      this.write({ recent, pinned: pinned.includes(name) ? pinned.filter((each) => each !== name) : [...pinned, name] });
    },
    write(value) {
      try {
        localStorage.setItem(key, JSON.stringify(value));
      } catch {
        // A browser that keeps nothing is fine: the lists are then empty next time.
      }
    },
  };
}

const names = (value) => (Array.isArray(value) ? value.filter((each) => typeof each === "string") : []);
