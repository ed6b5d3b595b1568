// When services started, became ready and ended.

import * as api from "./api.js";
import { button, clock, duration, h, replace, row, table } from "./dom.js";
import { on, state } from "./state.js";

const SOON = 800;
const TICKS = 4;
// The longest pause of a start: that before a crashed service is started again.
const PAUSE = 16_000;

export function show(node, id) {
  const select = h("select", { id: "timeline-range", onchange: draw },
    h("option", { value: "start" }, "the start of the stack"), h("option", { value: "all" }, "all known runs"));
  const body = h("div", { "aria-busy": "true" });
  replace(node, h("h3", null, "Timeline"),
    h("div", { class: "tools" }, h("label", { for: "timeline-range" }, "Show"), select, button("Look again", { "data-key": "again", onclick: load })), body);
  let runs = null;
  let timer = null;
  const off = on("event", () => { timer ??= setTimeout(load, SOON); });
  async function load() {
    clearTimeout(timer);
    timer = null;
    try {
      runs = (await api.get("runs", { stack: id })).runs;
      draw();
    } catch (error) {
      replace(body, h("p", { class: "problem" }, error.message));
    }
    body.removeAttribute("aria-busy");
  }
  function draw() {
    if (!runs) return;
    const begin = state.stacks?.find((one) => one.id === id)?.since ?? null;
    replace(body, picture(runs, begin, select.value === "start", Date.now()));
  }
  load();
  return () => { off(); clearTimeout(timer); };
}

// Runs of a service as spans of time: { from, ready, to, start, end }.
export function spans({ service, exits }, now) {
  const past = exits.filter((one) => one.lived_ms !== null).map((one) => {
    const to = Date.parse(one.at);
    return { from: to - one.lived_ms, ready: null, to, start: one.start, end: one.exit.signal ? `signal ${one.exit.signal}` : `code ${one.exit.code}`, by: one.by };
  }).reverse();
  const since = Date.parse(service.since);
  const running = service.pid !== null;
  if (running) {
    const ready = service.phase === "ready" && service.ready_after_ms !== null ? since : null;
    const from = ready === null ? (past.length ? Math.max(since, past.at(-1).to) : since) : since - service.ready_after_ms;
    past.push({ from, ready, to: now, start: service.restarts + 1, end: null, by: null });
  }
  return past;
}

// The first runs that belong to the start of the stack: each begins while or soon after others become ready. What is started
// by hand later does not.
export function ofStart(all, begin) {
  const sorted = all.flatMap((one) => one.spans).sort((a, b) => a.from - b.from);
  const found = new Set();
  let until = begin ?? sorted[0]?.from;
  for (const span of sorted) {
    if (span.from > until + PAUSE) break;
    if (span.start === 1) found.add(span);
    until = Math.max(until, span.from, span.ready ?? (span.end !== null && span.by === "unexpected" ? span.to : 0));
  }
  return found;
}

function picture(runs, begin, start, now) {
  const all = runs.map((one) => ({ name: one.service.name, phase: one.service.phase, waits: one.service.waiting_on, needs: one.service.depends_on ?? [], spans: spans(one, now) }));
  // How a start went is known of the first runs.
  const counted = start ? ofStart(all, begin) : null;
  for (const one of all) {
    const spans = one.spans;
    if (counted) one.spans = spans.filter((span) => counted.has(span));
    one.later = spans.length > 0 && !one.spans.length;
  }
  const froms = all.flatMap((one) => one.spans.map((span) => span.from));
  if (!froms.length) return h("p", null, start ? "The first runs are no longer known. Choose all known runs." : "Nothing has run yet.");
  const from = start ? Math.min(begin ?? Infinity, ...froms) : Math.min(...froms);
  const results = all.flatMap((one) => one.spans.map((span) => span.ready ?? (span.end === null ? null : span.to)));
  const open = results.includes(null) || all.some((one) => one.phase === "waiting" && !one.later);
  const to = start && !open ? Math.max(...results) + 50 : now;
  const total = Math.max(1, to - from);
  all.sort((a, b) => (a.spans[0]?.from ?? Infinity) - (b.spans[0]?.from ?? Infinity));
  const bar = (kind, a, b, title) => {
    const node = h("span", { class: `bar ${kind}`, title });
    node.style.left = `${(100 * (Math.max(a, from) - from)) / total}%`;
    node.style.width = `${Math.max(0.4, (100 * (Math.min(b, to) - Math.max(a, from))) / total)}%`;
    return node;
  };
  const text = (span) => {
    const at = start ? `after ${duration(span.from - from)}` : `at ${clock(span.from)}`;
    const ready = span.ready === null ? "" : `, ready in ${duration(span.ready - span.from)}`;
    const end = span.end === null ? "" : `, ended with ${span.end} after ${duration(span.to - span.from)}`;
    return `started ${at}${ready}${end}`;
  };
  const line = (one) => {
    const last = lastNeed(one, all);
    const first = one.spans[0];
    const bars = one.spans.flatMap((span) => [
      bar("starting", span.from, span.ready ?? span.to, "starting"),
      span.ready === null ? (span.end === null ? null : bar(span.by === "unexpected" ? "failed" : "done", span.from, span.to, span.end)) : bar("running", span.ready, span.to, "running"),
    ]);
    const waited = start && first && first.from > from ? bar("waiting", from, first.from, "waiting") : null;
    const what = one.spans.length ? (start ? one.spans : one.spans.slice(-3)).map(text).join("; ") : one.later ? "not a part of the start" : one.phase;
    return row(one.name, [what, start && last ? h("p", { class: "note" }, `waited last for ${last}`) : null], h("div", { class: "bars", "aria-hidden": "true" }, waited, bars));
  };
  const ticks = Array.from({ length: TICKS + 1 }, (_, at) => h("span", null, start ? `+${duration((total * at) / TICKS)}` : clock(from + (total * at) / TICKS)));
  return [
    start && !open ? h("p", null, `The start took ${duration(total - 50)}.`) : null,
    table("Timeline", ["Service", "What", [h("span", { class: "unseen" }, "Picture"), h("span", { class: "ticks", "aria-hidden": "true" }, ticks)]], all.map(line)),
    h("p", { class: "legend", "aria-hidden": "true" }, ["waiting", "starting", "running", "done", "failed"].map((kind) => h("span", null, h("span", { class: `bar ${kind}` }), kind))),
  ];
}

// The dependency whose condition was met last.
function lastNeed(one, all) {
  const met = one.needs.map((need) => {
    const span = all.find((other) => other.name === need.service)?.spans[0];
    if (!span) return null;
    return { name: need.service, at: need.condition === "started" ? span.from : span.ready ?? span.to };
  }).filter(Boolean).sort((a, b) => b.at - a.at);
  return met[0]?.name ?? null;
}
