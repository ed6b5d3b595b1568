// What went through the front door to the services of a stack.

import * as api from "./api.js";
import { clean } from "./ansi.js";
import { clock, duration, h, replace, size, table } from "./dom.js";

const EVERY = 2_000;
const KEPT = 300;

export function show(node, id) {
  const filter = h("input", { id: "requests-filter", type: "search", autocomplete: "off", oninput: draw });
  const body = h("div", { "aria-busy": "true" });
  replace(node, h("h3", null, "Requests"), h("div", { class: "tools" }, h("label", { for: "requests-filter" }, "Filter"), filter), body);
  let all = [];
  let none = null;
  let open = new Set();
  async function load() {
    if (document.hidden) return;
    // Those that have not ended are asked for again.
    const pending = all.find((one) => !one.end);
    const after = pending ? pending.id - 1 : all.at(-1)?.id ?? 0;
    try {
      const answer = await api.get("requests", { stack: id, after });
      none = answer.none ?? null;
      const known = all.filter((one) => one.id <= after);
      if (answer.requests.length || !body.childElementCount) {
        all = [...known, ...answer.requests].slice(-KEPT);
        draw();
      }
    } catch (error) {
      if (!all.length) replace(body, h("p", { class: "problem" }, error.message));
    }
    body.removeAttribute("aria-busy");
  }
  function draw() {
    const wanted = filter.value.trim().toLowerCase();
    const match = (one) => !wanted || `${one.method} ${one.host}${one.target} ${one.service} ${one.status ?? ""} ${one.end ?? ""}`.toLowerCase().includes(wanted);
    const rows = all.filter(match).reverse().map(line);
    replace(body, rows.length
      ? table("Requests, newest first", ["Time", "Request", "Service", "Status", "Took", "Details"], rows)
      : h("p", null, none && !all.length ? `No requests: ${none}.` : "No requests yet."));
  }
  function line(one) {
    const status = one.status === null ? one.end ?? "…" : String(one.status);
    const details = h("details", { open: open.has(one.id), ontoggle: () => { if (details.open) open.add(one.id); else open.delete(one.id); } },
      h("summary", { "aria-label": `Headers of request ${one.id}`, "data-key": `request ${one.id}` }, "Headers"),
      message("Request", one.request), one.response ? message("Response", one.response) : null);
    return h("tr", { class: one.status >= 500 || (one.end && one.end !== "done") ? "bad" : null },
      h("th", { scope: "row" }, clock(one.at, true)),
      h("td", null, h("code", null, clean(`${one.method} ${one.host}${one.target}`)), one.error ? h("p", { class: "problem" }, one.error) : null),
      h("td", null, one.replica ?? one.service),
      h("td", null, status),
      h("td", null, one.total_ms === null ? "…" : duration(one.total_ms), one.parked_ms >= 1 ? ` (waited ${duration(one.parked_ms)})` : ""),
      h("td", null, details));
  }
  const timer = setInterval(load, EVERY);
  load();
  return () => clearInterval(timer);
}

function message(title, one) {
  const lines = one.headers.map(([name, value]) => clean(`${name}: ${value}`));
  return [h("p", null, `${title}, ${size(one.bytes)}`), h("pre", { tabindex: 0, "aria-label": `${title} headers` }, lines.join("\n"))];
}
