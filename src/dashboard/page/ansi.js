// Output of services: colours become classes, everything else that a terminal would obey goes.

import { h } from "./dom.js";

const ESC = "\u001b";
// CSI, OSC and the like, strings such as DCS, and escapes of two characters; also as single C1 characters.
// No two parts that repeat can match the same character, and no string goes on over the start of another: the time that
// hostile text takes grows with its length only.
const SEQUENCE = /(?:\u001b\[|\u009b)([0-?]*)[ -/]*([@-~])|(?:\u001b\]|\u009d)[^\u0007\u001b\u0090\u0098\u009b-\u009f]*(?:\u0007|\u001b\\|\u009c|$)|(?:\u001b[PX^_]|[\u0090\u0098\u009e\u009f])[^\u001b\u0090\u0098\u009b-\u009f]*(?:\u001b\\|\u009c|$)|\u001b[ -/]*[0-~]?/g;
const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;
// They would reorder what stands beside them.
const BIDI = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
// Longer lines are cut: nobody reads them here.
export const MAX = 8_000;
const MAX_PARTS = 500;

export const clean = (text) => text.replace(CONTROL, "").replace(BIDI, "\ufffd");

// The text without escapes, for searching.
export function plain(text) {
  return clean(redrawn(text.slice(0, MAX)).replace(SEQUENCE, ""));
}

// What a progress bar shows last.
function redrawn(text) {
  const end = text.endsWith("\r") ? text.length - 1 : text.length;
  return text.slice(text.lastIndexOf("\r", end - 1) + 1, end);
}

const blank = () => ({ fg: null, bg: null, bold: false, dim: false, italic: false, underline: false, inverse: false });

function nearest(code) {
  if (code < 16) return code;
  if (code > 231) return code < 238 ? 8 : code < 250 ? 7 : 15;
  const cube = code - 16;
  return rgb(Math.floor(cube / 36) * 51, (Math.floor(cube / 6) % 6) * 51, (cube % 6) * 51);
}

function rgb(r, g, b) {
  const most = Math.max(r, g, b);
  if (most < 50) return 0;
  const bits = (r > most / 2 ? 1 : 0) | (g > most / 2 ? 2 : 0) | (b > most / 2 ? 4 : 0);
  if (bits === 7) return most > 220 ? 15 : most > 140 ? 7 : 8;
  return bits + (most > 190 ? 8 : 0);
}

// Reads the colour after 38 or 48; returns it and how many numbers it took.
function extended(codes, at) {
  if (codes[at + 1] === 5) return [nearest(codes[at + 2] & 255), 2];
  if (codes[at + 1] === 2) return [rgb(codes[at + 2], codes[at + 3], codes[at + 4]), 4];
  return [null, 0];
}

function apply(style, text) {
  const codes = text.split(/[;:]/).map((code) => Number.parseInt(code || "0", 10) || 0);
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at];
    if (code === 0) Object.assign(style, blank());
    else if (code === 1) style.bold = true;
    else if (code === 2) style.dim = true;
    else if (code === 3) style.italic = true;
    else if (code === 4) style.underline = true;
    else if (code === 7) style.inverse = true;
    else if (code === 22) style.bold = style.dim = false;
    else if (code === 23) style.italic = false;
    else if (code === 24) style.underline = false;
    else if (code === 27) style.inverse = false;
    else if (code >= 30 && code <= 37) style.fg = code - 30;
    else if (code >= 90 && code <= 97) style.fg = code - 82;
    else if (code >= 40 && code <= 47) style.bg = code - 40;
    else if (code >= 100 && code <= 107) style.bg = code - 92;
    else if (code === 39) style.fg = null;
    else if (code === 49) style.bg = null;
    else if (code === 38 || code === 48) {
      const [color, taken] = extended(codes, at);
      style[code === 38 ? "fg" : "bg"] = color;
      at += taken;
    }
  }
}

function classes(style) {
  const names = [];
  if (style.fg !== null) names.push(`fg${style.fg}`);
  if (style.bg !== null) names.push(`bg${style.bg}`);
  for (const name of ["bold", "dim", "italic", "underline", "inverse"]) if (style[name]) names.push(name);
  return names.join(" ");
}

// The nodes for one line, of which so many characters were cut off before.
export function nodes(line, gone = 0) {
  const text = redrawn(line.slice(0, MAX));
  const left = Math.max(0, line.length - MAX) + gone;
  const more = left ? [h("span", { class: "note" }, ` … ${left} more characters`)] : [];
  if (!text.includes(ESC) && !text.includes("\u009b")) return [clean(text), ...more];
  const parts = [];
  const style = blank();
  const add = (piece) => {
    const shown = clean(piece);
    if (!shown || parts.length > MAX_PARTS) return;
    const names = classes(style);
    parts.push(names ? h("span", { class: names }, shown) : shown);
  };
  let from = 0;
  for (const found of text.matchAll(SEQUENCE)) {
    add(text.slice(from, found.index));
    from = found.index + found[0].length;
    if (found[2] === "m" && !/[?<=>!]/.test(found[1])) apply(style, found[1]);
  }
  add(text.slice(from));
  return [...parts, ...more];
}
