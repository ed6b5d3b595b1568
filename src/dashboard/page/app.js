// Begins, chooses what is shown by the part of the address after `#`, and shows messages.

import * as api from "./api.js";
import { link, where as parse } from "./address.js";
import { ago, button, h, plural, replace, tick } from "./dom.js";
import { connect, choose, emit, notice, on, state } from "./state.js";
import { act, confirmDown } from "./actions.js";
import * as env from "./env.js";
import * as graph from "./graph.js";
import * as logs from "./logs.js";
import * as ports from "./ports.js";
import * as requests from "./requests.js";
import * as services from "./services.js";
import * as timeline from "./timeline.js";

const VIEWS = {
  services: ["Services", services],
  logs: ["Logs", logs],
  graph: ["Graph", graph],
  timeline: ["Timeline", timeline],
  ports: ["Ports", ports],
  env: ["Environment", env],
  requests: ["Requests", requests],
};
const MAX_NOTICES = 5;

const where = () => parse(Object.keys(VIEWS));
const main = document.getElementById("main");
let shown = null;
let leave = null;

function route() {
  let { id, view, params } = where();
  if (!id) {
    id = state.stacks?.[0]?.id ?? null;
    if (id) return location.replace(link(id, "services"));
  }
  choose(id);
  drawStacks();
  drawFrame(id, view);
  const key = `${id} ${view}`;
  if (shown !== key) {
    leave?.();
    shown = key;
    state.wantsUsage = false;
    leave = id ? VIEWS[view][1].show(document.getElementById("view"), id, params) : null;
  } else {
    VIEWS[view][1].changed?.(params);
  }
  const name = state.stacks?.find((one) => one.id === id)?.name;
  document.title = `${name ? `${name}: ` : ""}${VIEWS[view][0]} – devstack`;
}

function drawStacks() {
  const { id } = where();
  const known = state.stacks ?? [];
  const missing = id && !known.some((one) => one.id === id) ? [{ id, name: state.snapshot?.stack ?? "(not running)", dir: "" }] : [];
  const entry = (one) => h("li", null,
    h("a", { href: link(one.id, where().view), "aria-current": one.id === id ? "page" : null, "data-key": `stack ${one.id}` },
      h("span", { class: "name" }, one.name ?? "(starting)"), h("span", { class: "dir" }, one.dir)));
  replace(document.getElementById("stacks"),
    h("h2", null, "Stacks"),
    known.length + missing.length ? h("ul", null, [...known, ...missing].map(entry)) : null);
}

// Heading, buttons and the list of views; the view itself stays.
function drawFrame(id, view) {
  if (!id) {
    shown = null;
    if (state.connection.kind === "denied") return drawDenied();
    return replace(main, h("h2", null, state.stacks ? "No stacks are running" : "Connecting …"),
      state.stacks ? h("p", null, "Start one with ", h("code", null, "devstack up"), ". It appears here.") : null);
  }
  if (!document.getElementById("view")) {
    shown = null;
    replace(main, h("div", { id: "stack" }), h("nav", { id: "views", "aria-label": "Views" }), h("div", { id: "view" }));
  }
  drawStack();
  const entry = ([name, [text]]) => h("li", null,
    h("a", { href: link(id, name), "aria-current": name === view ? "page" : null, "data-key": `view ${name}` }, text));
  replace(document.getElementById("views"), h("ul", null, Object.entries(VIEWS).map(entry)));
}

let drawnStack = "";
function drawStack() {
  const node = document.getElementById("stack");
  if (!node) return;
  const { snapshot, gone, id } = state;
  const text = JSON.stringify([snapshot?.stack, snapshot?.state, snapshot?.dir, snapshot?.mode, snapshot?.primary, gone, id]);
  if (text === drawnStack && node.childElementCount) return;
  drawnStack = text;
  if (!snapshot) {
    return replace(node,
      h("h2", null, state.stacks?.find((one) => one.id === id)?.name ?? "Stack"),
      gone ? h("p", { class: "problem" }, `${gone.text}${gone.help ? `: ${gone.help}` : ""}`) : h("p", null, "Connecting …"));
  }
  const since = state.stacks?.find((one) => one.id === id)?.since;
  replace(node,
    h("h2", null, snapshot.stack, " ", h("span", { class: `phase ${snapshot.state}` }, snapshot.state)),
    h("p", { class: "about" }, snapshot.dir, ` · pid ${snapshot.supervisor_pid}`, since ? [" · for ", ago(new Date(since).toISOString())] : null),
    h("div", { class: "buttons" },
      button("Restart all", { "data-key": "restart-all", onclick: () => act("restart", runningServices()) }),
      button("Stop the stack", { class: "danger", "data-key": "down", onclick: confirmDown })));
}

const runningServices = () =>
  state.snapshot.services.filter((one) => !["idle", "done", "asleep"].includes(one.phase)).map((one) => one.name);

function drawDenied() {
  replace(main,
    h("h2", null, "This tab has no access"),
    h("p", null, "Run ", h("code", null, "devstack dashboard"), " in a terminal and open the link that it prints."));
}

function drawConnection() {
  const { kind, text } = state.connection;
  const node = document.getElementById("connection");
  node.className = kind;
  replace(node, text ?? "", kind === "lost" ? [" ", button("Try now", { "data-key": "retry", onclick: connect })] : null);
  if (kind === "denied") {
    leave?.();
    leave = null;
    shown = null;
    drawDenied();
  }
}

function drawNotice({ text, kind }) {
  const list = document.getElementById("notices");
  const node = h("p", { class: `notice ${kind}` }, h("span", null, text), button("Dismiss", { "aria-label": `Dismiss: ${text}`, onclick: () => node.remove() }));
  list.append(node);
  while (list.childElementCount > MAX_NOTICES) list.firstElementChild.remove();
  const announcer = document.getElementById("announcer");
  replace(announcer, text);
}

// Phases that change are announced to screen readers, a few at a time.
let changed = new Map();
let announcing = null;
function announce(event) {
  if (event.what !== "phase") return;
  changed.set(event.service, event.to);
  announcing ??= setTimeout(() => {
    const all = [...changed].map(([name, phase]) => `${name} ${phase}`);
    const text = all.length > 4 ? `${all.slice(0, 4).join(", ")} and ${plural(all.length - 4, "other service")}` : all.join(", ");
    replace(document.getElementById("announcer"), text);
    changed = new Map();
    announcing = null;
  }, 1_000);
}

on("connection", drawConnection);
on("notice", drawNotice);
on("event", announce);
on("stacks", () => { drawStacks(); if (!where().id || !document.getElementById("view")) route(); else drawStack(); });
on("snapshot", drawStack);
setInterval(tick, 1_000);
window.addEventListener("hashchange", route);
document.getElementById("skip").addEventListener("click", () => main.focus());
window.addEventListener("error", (event) => notice(`The page failed: ${event.message}`, "failure"));
window.addEventListener("unhandledrejection", (event) => notice(`The page failed: ${event.reason?.message ?? event.reason}`, "failure"));

if (await api.begin()) {
  route();
} else {
  state.connection = { kind: "denied", text: "No access" };
  emit("connection");
}
