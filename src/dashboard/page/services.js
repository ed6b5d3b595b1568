// The services of a stack: phase, cause, what they wait for, and buttons. Details on request.

import * as api from "./api.js";
import { nodes } from "./ansi.js";
import { ago, button, clock, duration, h, isWeb, plural, replace, size } from "./dom.js";
import { on, refresh, state } from "./state.js";
import { act, endAction, runAction } from "./actions.js";
import { link } from "./address.js";

const RUNS = new Set(["starting", "ready", "unhealthy", "stopping", "backoff", "waiting"]);

let list = null;
let rows = new Map();
let open = new Set();
let filter = null;
let counts = null;

export function show(node, id) {
  state.wantsUsage = true;
  list = h("ul", { class: "services" });
  rows = new Map();
  open = new Set();
  filter = h("input", { id: "service-filter", type: "search", autocomplete: "off", spellcheck: "false", placeholder: "name or phase", oninput: sift });
  counts = h("p", { class: "note" });
  replace(node, h("h3", { class: "unseen" }, "Services"),
    h("div", { class: "tools" }, h("label", { for: "service-filter" }, "Filter"), filter, counts), list);
  const off = on("snapshot", draw);
  draw();
  refresh();
  return off;
}

function draw() {
  const views = state.snapshot?.services ?? [];
  for (const [name, one] of rows) {
    if (!views.some((view) => view.name === name)) { one.node.remove(); rows.delete(name); }
  }
  views.forEach((view, at) => {
    // CPU and memory change all the time: they must not take the focus away.
    const { cpu_percent, memory_bytes, ...rest } = view;
    const text = JSON.stringify(rest);
    let one = rows.get(view.name);
    if (!one) {
      one = { node: h("li", null), text: null };
      rows.set(view.name, one);
    }
    if (list.children[at] !== one.node) list.insertBefore(one.node, list.children[at] ?? null);
    if (one.text !== text) {
      one.usage = h("span", { class: "usage" });
      one.node.className = `service ${view.phase}`;
      replace(one.node, service(view, one));
      if (open.has(view.name)) fillDetails(view, one);
      one.text = text;
    }
    const usage = [cpu_percent == null ? null : `${cpu_percent.toFixed(0)}% CPU`, memory_bytes == null ? null : size(memory_bytes)].filter(Boolean).join(" · ");
    if (one.usage.textContent !== usage) one.usage.textContent = usage;
  });
  sift();
}

// Shows only those with what is typed in their name, phase or cause, and says how many are in which phase.
function sift() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  const phases = new Map();
  let shown = 0;
  for (const view of state.snapshot?.services ?? []) {
    const text = `${view.name} ${view.phase} ${view.cause}`.toLowerCase();
    const is = words.every((word) => text.includes(word));
    rows.get(view.name).node.hidden = !is;
    shown += is ? 1 : 0;
    phases.set(view.phase, (phases.get(view.phase) ?? 0) + 1);
  }
  const all = [...phases].sort(([one], [other]) => rank(one) - rank(other)).map(([phase, count]) => `${count} ${phase}`).join(", ");
  const text = words.length ? `${shown} of ${rows.size} shown: ${all}` : all;
  if (counts.textContent !== text) counts.textContent = text;
}

// The worst first.
const RANKS = ["failed", "unhealthy", "blocked", "backoff", "starting", "waiting", "stopping"];
const rank = (phase) => (RANKS.indexOf(phase) + RANKS.length + 1) % (RANKS.length + 1);

const waitsFor = ({ service, condition }) => `${service} (${condition})`;

function service(view, one) {
  const { name } = view;
  const runs = RUNS.has(view.phase);
  const key = (what) => `${what} ${name}`;
  const is = open.has(name);
  const port = view.port === null ? null : `port ${view.port}${view.wanted_port && view.wanted_port !== view.port ? ` (wanted ${view.wanted_port})` : ""}`;
  const url = isWeb(view.origin) ? view.origin : view.url;
  one.toggle = button("Details", { "aria-expanded": String(is), "aria-label": `Details of ${name}`, "data-key": key("details"), onclick: () => toggle(view, one) });
  return [
    h("div", { class: "head" },
      h("h4", null, name),
      h("span", { class: `phase ${view.phase}` }, view.phase),
      h("span", { class: "since" }, "for ", ago(view.since)),
      one.usage),
    h("p", { class: "cause" }, view.cause),
    view.waiting_on.length ? h("p", { class: "waits" }, `Waits for ${view.waiting_on.map(waitsFor).join(", ")}`) : null,
    problem(view),
    h("p", { class: "facts" },
      isWeb(url) ? h("a", { href: url, target: "_blank", rel: "noopener noreferrer", "data-key": key("url") }, url) : url,
      [port, view.pid ? `pid ${view.pid}` : null, view.restarts ? plural(view.restarts, "restart") : null, view.kind === "task" ? "task" : null,
        view.mode === "debug" && view.debug ? `debugger: ${view.debug.attach}` : null]
        .filter(Boolean).map((fact) => h("span", null, fact))),
    h("div", { class: "buttons" },
      runs ? null : button("Start", { "aria-label": `Start ${name}`, "data-key": key("start"), onclick: () => act("start", [name]) }),
      runs ? button("Stop", { "aria-label": `Stop ${name}`, "data-key": key("stop"), onclick: () => act("stop", [name]) }) : null,
      button("Restart", { "aria-label": `Restart ${name}`, "data-key": key("restart"), onclick: () => act("restart", [name]) }),
      view.mode === "debug"
        ? button("Run mode", { "aria-label": `Restart ${name} in run mode`, "data-key": key("debug"), onclick: () => act("undebug", [name]) })
        : view.kind === "task" || !view.can_debug ? null
        : button("Debug", { "aria-label": `Restart ${name} in debug mode`, "data-key": key("debug"), onclick: () => act("debug", [name]) }),
      (view.actions ?? []).map((action) => button(action.name, { title: action.help, "aria-label": `Run ${action.name} of ${name}`, "data-key": key(`action ${action.name}`), onclick: () => runAction(name, action) })),
      (view.actions ?? []).filter((action) => action.running?.length).map((action) =>
        button(`End ${action.name}`, { "aria-label": `End ${action.name} of ${name}`, "data-key": key(`end ${action.name}`), onclick: () => endAction(name, action.name) })),
      h("a", { href: link(state.id, "logs", { service: name }), "aria-label": `Logs of ${name}`, "data-key": key("logs") }, "Logs"),
      h("a", { href: link(state.id, "env", { service: name }), "aria-label": `Environment of ${name}`, "data-key": key("env") }, "Environment"),
      one.toggle),
    one.details = h("div", { class: "details", hidden: !is }),
  ];
}

// The message, without what the cause says already.
function problem({ cause, message }) {
  const texts = [message?.text === cause ? null : message?.text, message?.help].filter(Boolean);
  return texts.length ? h("p", { class: "problem" }, texts.join(" – ")) : null;
}

function toggle(view, one) {
  const is = !open.has(view.name);
  if (is) open.add(view.name); else open.delete(view.name);
  one.toggle.setAttribute("aria-expanded", String(is));
  one.details.hidden = !is;
  if (is) fillDetails(view, one);
}

const exitText = (exit) => exit?.signal ? `signal ${exit.signal}` : `code ${exit?.code ?? "?"}`;

// Why it is so, and what comes next.
async function fillDetails(view, one) {
  let why;
  try {
    why = await api.get("why", { stack: state.id, service: view.name });
  } catch (error) {
    return replace(one.details, h("p", { class: "problem" }, error.message));
  }
  const fact = (name, ...value) => [h("dt", null, name), h("dd", null, ...value)];
  replace(one.details,
    h("dl", null,
      fact("Next", why.next.text, why.next.in_ms ? ` in ${duration(why.next.in_ms)}` : ""),
      why.waits.map((wait) => fact("Waits for", `${wait.service}${wait.condition ? ` to be ${wait.condition}` : ""}: ${wait.phase}, ${wait.cause}`)),
      why.probe ? fact(`Failing ${why.probe.about} probe`, why.probe.text) : null,
      why.trigger ? fact("Last change", `${why.trigger.path} at ${clock(why.trigger.at)}: ${why.trigger.action}`) : null,
      why.exits.slice(0, 5).map((past) => fact(`Run ${past.start}`, `${exitText(past.exit)} at ${clock(past.at)}${past.lived_ms == null ? "" : ` after ${duration(past.lived_ms)}`}, ${past.by === "us" ? "stopped by devstack" : past.by}`)),
      view.depends_on?.length ? fact("Depends on", view.depends_on.map(waitsFor).join(", ")) : null),
    why.log.length ? [h("h5", null, "Last lines"), h("pre", { class: "log", tabindex: 0, "aria-label": `Last lines of ${view.name}` }, why.log.map((line) => [nodes(line), "\n"]))] : null);
}
