// What every module takes from Preact, in one place.
import { h } from "./modules/preact.js";
import htm from "./modules/htm.js";

export { render } from "./modules/preact.js";
export { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "./modules/hooks.js";
export const html = htm.bind(h);
