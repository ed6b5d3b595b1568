// The log: new lines as they come, a search in them and in all that is kept, and links to lines.

import * as api from "./api.js";
import { link } from "./address.js";
import { nodes, plain } from "./ansi.js";
import { button, clock, h, plural, replace } from "./dom.js";
import { notice, on, shortened, state } from "./state.js";

const MAX_ROWS = 1_000;
const BEFORE = 2_000;
const AROUND = 400;
const FOUND = 1_000;
const COLORS = 6;

let view = null;

export function show(node, id, params) {
  view = new LogView(node, id);
  view.params(params);
  return () => { view.close(); view = null; };
}

export const changed = (params) => view?.params(params);

class LogView {
  constructor(node, id) {
    this.id = id;
    this.following = true;
    this.top = 0;
    this.fetched = null;
    this.service = h("select", { id: "log-service", onchange: () => this.filter() });
    this.search = h("input", { id: "log-search", type: "search", autocomplete: "off", spellcheck: "false", oninput: () => this.filter(), onkeydown: (event) => event.key === "Enter" && this.find() });
    this.follow = button("Follow", { "aria-pressed": "true", onclick: () => this.setFollowing(!this.following) });
    this.rows = h("div", { class: "log", role: "log", "aria-live": "off", "aria-label": "Log lines", tabindex: 0, onscroll: () => this.scrolled(), onkeydown: (event) => this.key(event) });
    this.status = h("p", { class: "note", role: "status" });
    this.older = button("Show earlier lines", { hidden: true, onclick: () => this.showEarlier() });
    this.extra = 0;
    this.from = 0;
    replace(node, h("h3", { class: "unseen" }, "Logs"),
      h("div", { class: "tools" },
        h("label", { for: "log-service" }, "Service"), this.service,
        h("label", { for: "log-search" }, "Search"), this.search,
        button("Search all kept lines", { onclick: () => this.find() }), this.follow),
      this.status, this.older, this.rows);
    this.offs = [on("lines", (change) => this.lines(change)), on("snapshot", () => this.services())];
    this.services();
  }

  close() {
    this.offs.forEach((off) => off());
    this.aborter?.abort();
  }

  // Shows what a link asks for.
  params(params) {
    const service = params.get("service") ?? "";
    this.wanted = service;
    this.search.value = params.get("search") ?? this.search.value;
    this.services();
    this.service.value = [...this.service.options].some((one) => one.value === service) ? service : "";
    const line = params.get("line");
    if (line) this.around(Number(line), Number(params.get("at")), service);
    else this.live();
  }

  services() {
    const known = (state.snapshot?.services ?? []).map((one) => one.name);
    if ([...this.service.options].slice(1).map((one) => one.value).join() === known.join() && this.service.options.length) return;
    const chosen = this.service.value || this.wanted || "";
    replace(this.service, h("option", { value: "" }, "all"), known.map((name) => h("option", { value: name }, name)));
    if (known.includes(chosen)) this.service.value = chosen;
  }

  matcher() {
    const service = this.service.value;
    const text = this.search.value.trim().toLowerCase();
    return (item) => item.mark !== undefined
      || ((!service || item.service === service || item.service === null) && (!text || plain(content(item)).toLowerCase().includes(text)));
  }

  live() {
    this.fetched = null;
    this.extra = 0;
    this.filter();
  }

  source() {
    return this.fetched ?? state.lines;
  }

  filter() {
    const match = this.matcher();
    const all = this.source().filter(match);
    const from = this.fetched ? 0 : Math.max(0, all.length - MAX_ROWS - this.extra);
    this.rows.replaceChildren(...all.slice(from).map((item) => this.line(item)));
    this.older.hidden = from === 0;
    this.older.textContent = `Show earlier lines (${from})`;
    this.say(all.length);
    this.toEnd();
  }

  showEarlier() {
    this.setFollowing(false);
    this.extra += MAX_ROWS;
    const height = this.rows.scrollHeight;
    this.filter();
    this.rows.scrollTop += this.rows.scrollHeight - height;
  }

  say(count) {
    if (this.fetched) return;
    const filtered = this.search.value.trim() || this.service.value;
    replace(this.status, filtered ? `${plural(count, "line")} of the ${plural(state.lines.length, "line")} in this tab` : plural(state.lines.length, "line"));
  }

  lines({ added, reset }) {
    if (this.fetched) return;
    if (reset || !added) return this.filter();
    // The event of a scroll comes with the next frame, and more lines may come before it.
    this.scrolled();
    const match = this.matcher();
    // Where somebody reads, nothing moves.
    const limit = MAX_ROWS + this.extra + (this.following ? 0 : MAX_ROWS * 4);
    const fresh = added.filter(match);
    this.rows.append(...fresh.slice(-limit).map((item) => this.line(item)));
    while (this.rows.childElementCount > limit) {
      this.rows.firstElementChild.remove();
      this.older.hidden = false;
      this.older.textContent = "Show earlier lines";
    }
    this.say(this.rows.childElementCount);
    this.toEnd();
  }

  line(item) {
    if (item.mark !== undefined) return h("div", { class: "line mark" }, item.mark);
    const at = Date.parse(item.at);
    const tone = item.text !== undefined ? `status tone-${item.tone}` : item.stream;
    return h("div", { class: `line ${tone}`, "data-seq": item.seq },
      h("a", { class: "at", tabindex: -1, href: link(this.id, "logs", { line: item.seq, at, ...(item.service ? { service: item.service } : {}) }), title: "Link to this line" }, clock(at, true)),
      h("span", { class: `who color${color(item.service ?? "devstack")}` }, item.service ?? "devstack"),
      h("span", { class: "what" }, nodes(content(item), item.cut)));
  }

  // All kept lines that match, from the files of the stack.
  async find() {
    const text = this.search.value.trim();
    if (!text) return this.live();
    const grep = `(?i)${text.replace(/[\\^$.*+?()[\]{}|#&~\s-]/g, "\\$&")}`;
    const limit = `; the latest ${FOUND} of each service are shown`;
    await this.fetch({ grep, service: this.service.value, lines: FOUND }, (found, more) => `${plural(found.length, "kept line")} with “${text}”${more ? limit : ""}`);
  }

  async around(seq, at, service) {
    await this.fetch({ service, since: Math.max(0, at - BEFORE), lines: AROUND }, () => `Lines around ${clock(at, true)}`);
    const node = this.rows.querySelector(`[data-seq="${CSS.escape(String(seq))}"]`);
    if (!node) return notice("This line is no longer kept.");
    node.classList.add("linked");
    node.scrollIntoView({ block: "center" });
    const anchor = node.querySelector("a");
    anchor.tabIndex = 0;
    anchor.focus({ preventScroll: true });
  }

  async fetch(query, text) {
    this.aborter?.abort();
    this.aborter = new AbortController();
    this.setFollowing(false);
    const found = [];
    let more = false;
    this.rows.setAttribute("aria-busy", "true");
    replace(this.status, "Searching all kept lines …");
    try {
      await api.follow("logs", { stack: this.id, ...query }, ({ what, item }) => {
        if (what === "log" && item.missed === undefined) found.push(shortened(item));
        if (what === "end") more = item;
      }, this.aborter.signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      notice(error.message, "failure");
    }
    this.rows.removeAttribute("aria-busy");
    this.fetched = found;
    this.rows.replaceChildren(...found.map((item) => this.line(item)));
    this.older.hidden = true;
    replace(this.status, text(found, more), " ", button("Back to new lines", { onclick: () => {
      this.search.value = "";
      this.setFollowing(true);
      if (location.hash.includes("line=")) location.hash = link(this.id, "logs");
      else this.live();
    } }));
  }

  setFollowing(is) {
    this.following = is;
    this.follow.setAttribute("aria-pressed", String(is));
    this.toEnd();
  }

  toEnd() {
    if (!this.following || this.fetched) return;
    this.rows.scrollTop = this.rows.scrollHeight;
    this.top = this.rows.scrollTop;
  }

  // Scrolling up stops following, and scrolling to the end follows again. That the end has moved away is neither.
  scrolled() {
    if (this.fetched) return;
    const top = this.rows.scrollTop;
    const end = this.rows.scrollHeight - top - this.rows.clientHeight < 4;
    const following = end || (this.following && top >= this.top);
    this.top = top;
    if (following !== this.following) {
      this.following = following;
      this.follow.setAttribute("aria-pressed", String(following));
    }
  }

  // One line at a time is in the tab order; the arrows go to others.
  key(event) {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const links = [...this.rows.querySelectorAll("a.at")];
    if (!links.length) return;
    const at = links.indexOf(document.activeElement);
    const next = at < 0 ? links.length - 1 : at + (event.key === "ArrowDown" ? 1 : -1);
    if (!links[next]) return;
    event.preventDefault();
    this.setFollowing(false);
    links.forEach((one) => { one.tabIndex = -1; });
    links[next].tabIndex = 0;
    links[next].focus();
  }
}

function content(item) {
  if (item.text !== undefined) return item.text;
  if (item.line !== undefined) return item.line;
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(item.line_base64 ?? ""), (char) => char.charCodeAt(0)));
  } catch {
    return "";
  }
}

// The same colour for a name every time.
function color(name) {
  let sum = 7;
  for (const char of name) sum = (sum * 31 + char.codePointAt(0)) % 9_973;
  return sum % COLORS;
}
