// What this tab knows: the stacks, the one it follows, its log, and whether it is connected.

import { MAX } from "./ansi.js";
import * as api from "./api.js";
import { plural, duration } from "./dom.js";

const SILENCE = 12_000;
const HIDE_AFTER = 5_000;
const RETRY = [500, 1_000, 2_000, 5_000];
const MAX_LINES = 10_000;
// Of all lines together: a tab must not grow with what services print.
const MAX_CHARS = 8_000_000;
const MAX_EVENTS = 500;
const REFRESH = 300;
const USAGE = 3_000;
// Browsers allow six connections to a server: so many tabs keep one, and others ask from time to time.
const SLOTS = 4;
const POLL = 2_000;

export const state = {
  stacks: null,
  id: null,
  snapshot: null,
  lines: [],
  events: [],
  connection: { kind: "connecting" },
};

const listeners = new Map();
export function on(what, listener) {
  if (!listeners.has(what)) listeners.set(what, new Set());
  listeners.get(what).add(listener);
  return () => listeners.get(what).delete(listener);
}
export function emit(what, value) {
  for (const listener of [...(listeners.get(what) ?? [])]) listener(value);
}

export function notice(text, kind = "info") {
  emit("notice", { text, kind });
}

function connection(kind, text) {
  state.connection = { kind, text };
  emit("connection");
}

let stream = null;
let retry = 0;
let timer = null;
let hideTimer = null;
let gone = null;
let seen = blankSeen();

function blankSeen() {
  // Lines up to `floor` came over an earlier connection.
  return { pid: null, event: 0, seq: -1, floor: -1 };
}

// Follows another stack.
export function choose(id) {
  if (id === state.id && (stream || timer)) return;
  if (id !== state.id) {
    Object.assign(state, { id, snapshot: null, lines: [], events: [] });
    seen = blankSeen();
    gone = null;
    emit("lines", { reset: true });
    emit("snapshot");
  }
  connect();
}

function disconnect() {
  clearTimeout(timer);
  timer = null;
  stream?.abort();
  stream = null;
}

// Takes one of the connections that tabs keep; returns what gives it back, or null.
async function takeSlot() {
  if (!navigator.locks) return () => {};
  for (let slot = 0; slot < SLOTS; slot += 1) {
    const release = await new Promise((resolve) => {
      navigator.locks.request(`devstack-stream-${slot}`, { ifAvailable: true }, (lock) => {
        if (lock) return new Promise((done) => resolve(done));
        resolve(null);
      });
    });
    if (release) return release;
  }
  return null;
}

// Connects again as soon as possible.
export async function connect() {
  disconnect();
  if (document.hidden) return;
  const own = new AbortController();
  stream = own;
  const release = await takeSlot();
  if (stream !== own) return release?.();
  seen.floor = seen.seq;
  let last = Date.now();
  const watch = setInterval(() => {
    if (Date.now() - last > SILENCE) own.abort();
  }, 1_000);
  const missed = gone && { since: gone, at: Date.now(), pid: seen.pid, event: seen.event, seq: seen.seq, events: 0, lines: 0, first: null };
  if (state.connection.kind !== "live") connection("connecting", "Connecting …");
  const take = ({ what, item }) => {
    last = Date.now();
    if (state.connection.kind !== "live") {
      retry = 0;
      gone = null;
      connection("live", release ? "Connected" : "Connected, every 2 s: many tabs are open");
    }
    if (what === "stacks") { state.stacks = item; emit("stacks"); }
    else if (what === "event") event(item, missed);
    else if (what === "log") queueLine(item, missed);
    else if (what === "lost") lost(item);
  };
  api.follow("stream", { stack: state.id, once: !release }, take, own.signal)
    .then(() => null, (error) => error)
    .then((error) => {
      clearInterval(watch);
      release?.();
      if (stream !== own) return;
      stream = null;
      if (!error && !release) {
        timer = setTimeout(connect, POLL);
        return;
      }
      gone ??= last;
      if (error?.status === 401) {
        api.forget();
        connection("denied", "No access");
        return;
      }
      const wait = RETRY[Math.min(retry, RETRY.length - 1)];
      retry += 1;
      connection("lost", `Connection lost. Trying again in ${duration(wait)} …`);
      timer = setTimeout(connect, wait);
    });
}

function lost(message) {
  state.snapshot = null;
  state.gone = message ?? { text: "the stack has stopped", help: "start it with `devstack up`" };
  emit("snapshot");
}

function event(item, missed) {
  if (item.what === "snapshot") {
    const restarted = seen.pid !== null && seen.pid !== item.stack.supervisor_pid;
    if (restarted) {
      state.lines.push({ mark: "The stack was started again" });
      seen = blankSeen();
      notice(`${item.stack.stack} was started again.`);
    } else if (missed && missed.pid !== null && item.number > missed.event) {
      missed.events = item.number - missed.event;
    }
    if (missed && missed.pid !== null) tellMissed(missed);
    seen.pid = item.stack.supervisor_pid;
    seen.event = item.number;
    state.gone = null;
    keepUsage(item.stack);
    state.snapshot = item.stack;
    emit("snapshot");
    return;
  }
  if (item.what === "missed") {
    notice(`${plural(item.missed, "event")} came too fast to be shown.`);
    return;
  }
  seen.event = item.number;
  state.events.push(item);
  state.events.splice(0, state.events.length - MAX_EVENTS);
  const service = state.snapshot?.services.find((one) => one.name === item.service);
  if (item.what === "phase" && service) {
    Object.assign(service, { phase: item.to, cause: item.cause ?? service.cause, since: item.at });
    emit("snapshot");
  }
  if (item.what === "applied" || item.what === "note") notice(item.cause || item.message?.text || "The configuration was applied.");
  emit("event", item);
  refreshSoon();
}

// Says what came while there was no connection; the log has a mark where it begins.
function tellMissed(missed) {
  if (missed.told === undefined) {
    missed.told = true;
    state.lines.push({ mark: `Reconnected after ${duration(missed.at - missed.since)}; what follows came meanwhile or later` });
    emit("lines", {});
  }
  clearTimeout(missed.timer);
  missed.timer = setTimeout(() => {
    const parts = [plural(missed.events, "event"), plural(missed.lines, "log line")];
    const hole = missed.cut ? " Not all of them are shown here; `devstack logs` has them." : "";
    notice(`Reconnected after ${duration(missed.at - missed.since)}. Meanwhile: ${parts.join(", ")}.${hole}`);
  }, 400);
}

let queue = [];
function queueLine(item, missed) {
  if (item.missed !== undefined) {
    item = { mark: `${plural(item.missed, "line")} of ${item.service ?? "devstack"} came too fast to be shown; \`devstack logs\` has what is kept` };
  } else {
    if (item.seq <= seen.floor) return;
    if (missed && missed.pid === seen.pid && Date.parse(item.at) <= missed.at) {
      missed.lines += 1;
      if (missed.lines === 1 && item.seq > missed.seq + 1 && missed.seq >= 0) missed.cut = true;
      tellMissed(missed);
    }
    seen.seq = Math.max(seen.seq, item.seq);
  }
  const count = queue.push(shortened(item));
  if (count === 1) requestAnimationFrame(flush);
  // A window that is covered may paint nothing for long.
  else if (count >= MAX_LINES) flush();
}

function flush() {
  if (!queue.length) return;
  const added = queue;
  queue = [];
  for (const item of added) state.lines.push(item);
  let chars = 0;
  let from = state.lines.length;
  while (from > 0 && state.lines.length - from < MAX_LINES && chars < MAX_CHARS) {
    from -= 1;
    chars += size(state.lines[from]);
  }
  state.lines.splice(0, from);
  emit("lines", { added });
}

const size = (item) => (item.line ?? item.line_base64 ?? item.text ?? "").length;

// A line without what is not shown of it. Browsers keep the whole of a string of which a part is in use: it is copied.
export function shortened(item) {
  const [key, most] = item.line_base64 === undefined ? ["line", MAX] : ["line_base64", Math.ceil(MAX / 3) * 4];
  const text = item[key] ?? "";
  if (text.length <= most) return item;
  const copy = new TextDecoder().decode(new TextEncoder().encode(text.slice(0, most)));
  return { ...item, [key]: copy, cut: text.length - most };
}

function keepUsage(next) {
  for (const service of next.services) {
    const before = state.snapshot?.services.find((one) => one.name === service.name);
    service.cpu_percent ??= before?.cpu_percent ?? null;
    service.memory_bytes ??= before?.memory_bytes ?? null;
  }
}

let refreshing = null;
function refreshSoon() {
  refreshing ??= setTimeout(refresh, REFRESH);
}

export async function refresh() {
  clearTimeout(refreshing);
  refreshing = null;
  const id = state.id;
  if (!id || state.connection.kind !== "live" || state.gone) return;
  try {
    const next = await api.get("stack", { stack: id });
    if (id !== state.id) return;
    state.snapshot = next;
    emit("snapshot");
  } catch { /* The stream says what is wrong. */ }
}

setInterval(() => {
  if (!document.hidden && state.wantsUsage) refresh();
}, USAGE);

document.addEventListener("visibilitychange", () => {
  clearTimeout(hideTimer);
  if (!document.hidden) {
    if (!stream && !timer && state.connection.kind !== "denied") connect();
    return;
  }
  // A tab that nobody sees takes no connection: browsers allow few of them.
  hideTimer = setTimeout(() => {
    gone ??= Date.now();
    disconnect();
    connection("paused", "Paused while hidden");
  }, HIDE_AFTER);
});
window.addEventListener("online", () => timer && connect());
