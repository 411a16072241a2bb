// The pages, in the order of the navigation.
import { Approvals } from "./approvals.js";
import { Audit } from "./audit.js";
import { Integrations } from "./integrations.js";
import { Metrics } from "./metrics.js";
import { Tools } from "./tools.js";

/** @type {{id: string, title: string, show: Function}[]} */
export const PAGES = [
  { id: "tools", title: "Tools", show: Tools },
  { id: "approvals", title: "Approvals", show: Approvals },
  { id: "audit", title: "Audit", show: Audit },
  { id: "integrations", title: "Integrations", show: Integrations },
  { id: "metrics", title: "Metrics", show: Metrics },
];
