// The pages, in the order of the navigation.
import { Tools } from "./tools.js";

/** @type {{id: string, title: string, show: Function}[]} */
export const PAGES = [{ id: "tools", title: "Tools", show: Tools }];
