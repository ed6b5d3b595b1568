// What depends on what: from left to right, and as text.

import { link } from "./address.js";
import { h, replace, s } from "./dom.js";
import { on, state } from "./state.js";

const WIDTH = 168;
const HEIGHT = 46;
const GAP_X = 64;
const GAP_Y = 18;
const EDGE = 12;
const NAME = 20;
// Services in a row of those that are alone.
const ACROSS = 5;

export function show(node, id) {
  const body = h("div");
  replace(node, h("h3", null, "Dependencies"), body);
  let drawn = "";
  const draw = () => {
    const services = state.snapshot?.services ?? [];
    const text = JSON.stringify(services.map((one) => [one.name, one.phase, one.depends_on, one.waiting_on]));
    if (text === drawn) return;
    drawn = text;
    replace(body, services.length ? [picture(services, id), list(services)] : h("p", null, "No services."));
  };
  const off = on("snapshot", draw);
  draw();
  return off;
}

// The column of each service: one more than the last of its dependencies.
export function columns(services) {
  const known = new Map(services.map((one) => [one.name, one]));
  const found = new Map();
  const column = (name, path) => {
    if (found.has(name)) return found.get(name);
    if (path.has(name)) return 0;
    path.add(name);
    const needs = (known.get(name).depends_on ?? []).map((need) => need.service).filter((need) => known.has(need));
    const at = needs.reduce((most, need) => Math.max(most, column(need, path) + 1), 0);
    path.delete(name);
    found.set(name, at);
    return at;
  };
  for (const name of known.keys()) column(name, new Set());
  return found;
}

// Services without a dependency, and on which nothing depends.
function alone(services) {
  const needed = new Set(services.flatMap((one) => (one.depends_on ?? []).map((need) => need.service)));
  return new Set(services.filter((one) => !(one.depends_on ?? []).length && !needed.has(one.name)));
}

// Those alone are in rows below the others, or a long column would tear these apart.
export function places(services) {
  const apart = alone(services);
  const tied = services.filter((one) => !apart.has(one));
  const { found, width, height } = tied.length ? tiedPlaces(tied) : { found: new Map(), width: 0, height: 0 };
  const top = height ? height - EDGE + 2 * GAP_Y : EDGE;
  [...apart].forEach((one, at) => found.set(one.name, { x: EDGE + (at % ACROSS) * (WIDTH + GAP_Y), y: top + Math.floor(at / ACROSS) * (HEIGHT + GAP_Y) }));
  if (!apart.size) return { found, width, height };
  const columns = Math.min(ACROSS, apart.size);
  return { found, width: Math.max(width, 2 * EDGE + columns * (WIDTH + GAP_Y) - GAP_Y), height: top + Math.ceil(apart.size / ACROSS) * (HEIGHT + GAP_Y) - GAP_Y + EDGE };
}

function tiedPlaces(services) {
  const at = columns(services);
  const inColumn = new Map();
  for (const one of services) inColumn.set(at.get(one.name), [...(inColumn.get(at.get(one.name)) ?? []), one]);
  const found = new Map();
  const count = Math.max(...[...inColumn.values()].map((all) => all.length));
  for (const [column, all] of [...inColumn].sort(([one], [other]) => one - other)) {
    // Beside what they depend on, so that few edges cross.
    const middle = (one) => {
      const needs = (one.depends_on ?? []).map((need) => found.get(need.service)?.y).filter((y) => y !== undefined);
      return needs.length ? needs.reduce((sum, y) => sum + y, 0) / needs.length : 0;
    };
    const sorted = all.map((one, order) => ({ one, order, y: middle(one) })).sort((a, b) => a.y - b.y || a.order - b.order);
    const top = EDGE + ((count - all.length) * (HEIGHT + GAP_Y)) / 2;
    sorted.forEach(({ one }, row) => found.set(one.name, { x: EDGE + column * (WIDTH + GAP_X), y: top + row * (HEIGHT + GAP_Y) }));
  }
  return { found, width: 2 * EDGE + (Math.max(...inColumn.keys()) + 1) * (WIDTH + GAP_X) - GAP_X, height: 2 * EDGE + count * (HEIGHT + GAP_Y) - GAP_Y };
}

function picture(services, id) {
  const { found, width, height } = places(services);
  const edges = services.flatMap((one) => (one.depends_on ?? []).filter((need) => found.has(need.service)).map((need) => {
    const from = found.get(need.service);
    const to = found.get(one.name);
    const waits = one.waiting_on.some((wait) => wait.service === need.service);
    const [x1, y1, x2, y2] = [from.x + WIDTH, from.y + HEIGHT / 2, to.x - 6, to.y + HEIGHT / 2];
    const bend = Math.max(24, (x2 - x1) / 2);
    return [
      s("path", { class: waits ? "edge waits" : "edge", d: `M ${x1} ${y1} C ${x1 + bend} ${y1}, ${x2 - bend} ${y2}, ${x2} ${y2}` }),
      s("path", { class: waits ? "tip waits" : "tip", d: `M ${x2 + 6} ${y2} l -8 -4 l 0 8 z` }),
    ];
  }));
  const boxes = services.map((one) => {
    const { x, y } = found.get(one.name);
    const name = one.name.length > NAME ? `${one.name.slice(0, NAME - 1)}…` : one.name;
    return s("a", { href: link(id, "logs", { service: one.name }), "aria-label": `${one.name}, ${one.phase}: logs`, "data-key": `box ${one.name}` },
      s("rect", { class: `box ${one.phase}`, x, y, width: WIDTH, height: HEIGHT, rx: 6 }),
      s("text", { class: "box-name", x: x + 12, y: y + 19 }, name),
      s("text", { class: "box-phase", x: x + 12, y: y + 36 }, one.phase));
  });
  return h("div", { class: "scroll graph", role: "region", "aria-label": "Graph of dependencies", tabindex: 0 },
    s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Services, each after what it depends on" }, edges, boxes));
}

function list(services) {
  const text = (one) => (one.depends_on ?? []).map((need) => `${need.service} (${need.condition})`).join(", ");
  const free = services.filter((one) => !text(one)).map((one) => one.name);
  const last = free.length ? h("li", null, h("strong", null, free.join(", ")), free.length === 1 ? " depends on nothing" : " depend on nothing") : null;
  return h("ul", { class: "plain" }, services.filter(text).map((one) =>
    h("li", null, h("strong", null, one.name), ` depends on ${text(one)}`,
      one.waiting_on.length ? h("span", { class: "waits" }, ` – waits for ${one.waiting_on.map((wait) => wait.service).join(", ")}`) : null)), last);
}
