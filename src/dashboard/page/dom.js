// Elements from data. Text becomes text nodes and never markup, without characters that would reorder or hide it.

import { clean } from "./ansi.js";

const SVG = "http://www.w3.org/2000/svg";

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "selected") node[name] = value;
    else node.setAttribute(name, value === true ? "" : clean(String(value)));
  }
  node.append(...shown(children));
  return node;
}

const shown = (children) => children.flat(9)
  .filter((child) => child !== null && child !== undefined && child !== false)
  .map((child) => (child instanceof Node ? child : clean(String(child))));

// h("p", { class: "x", onclick: f }, "text", node)
export const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);
export const s = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

// Replaces the content of a node. What has the focus keeps it, if it has a `data-key`.
export function replace(node, ...children) {
  const key = node.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  node.replaceChildren(...shown(children));
  if (key) refocus(node, key);
}

export function refocus(node, key) {
  const again = [...node.querySelectorAll("[data-key]")].find((one) => one.dataset.key === key);
  again?.focus({ preventScroll: true });
}

export const button = (text, props, ...more) => h("button", { type: "button", ...props }, text, ...more);

// A table in a region that scrolls sideways where the screen is narrow.
export function table(label, heads, rows) {
  return h("div", { class: "scroll", role: "region", "aria-label": label, tabindex: 0 },
    h("table", null,
      h("caption", { class: "unseen" }, label),
      h("thead", null, h("tr", null, heads.map((head) => h("th", { scope: "col" }, head)))),
      h("tbody", null, rows)));
}

export const row = (head, ...cells) =>
  h("tr", null, h("th", { scope: "row" }, head), cells.map((cell) => h("td", null, cell)));

export function duration(ms) {
  if (!(ms >= 0)) return "";
  if (ms < 1000) return `${Math.round(ms)}ms`;
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)}s`;
  const s = Math.round(ms / 1000);
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m${s % 60}s`;
  if (s < 86_400) return `${Math.floor(s / 3600)}h${Math.floor((s % 3600) / 60)}m`;
  return `${Math.floor(s / 86_400)}d${Math.floor((s % 86_400) / 3600)}h`;
}

export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  while (bytes >= 1000 && at < units.length - 1) { bytes /= 1000; at += 1; }
  return `${at && bytes < 10 ? bytes.toFixed(1) : Math.round(bytes)} ${units[at]}`;
}

const two = (number, width = 2) => String(number).padStart(width, "0");

export function clock(at, millis = false) {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return "";
  const text = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return millis ? `${text}.${two(date.getMilliseconds(), 3)}` : text;
}

// How long ago something was; `tick` keeps it current.
export const ago = (at) => h("time", { datetime: at, "data-since": at, title: new Date(at).toLocaleString() }, duration(Date.now() - Date.parse(at)));

export function tick() {
  for (const node of document.querySelectorAll("time[data-since]")) {
    const text = duration(Date.now() - Date.parse(node.dataset.since));
    if (node.textContent !== text) node.textContent = text;
  }
}

export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

// Only addresses that a browser opens as a page.
export const isWeb = (url) => typeof url === "string" && /^https?:\/\//.test(url);
