// The ports of a stack, and which processes have them.

import * as api from "./api.js";
import { button, h, replace, row, table } from "./dom.js";
import { on, state } from "./state.js";

export function show(node, id) {
  const body = h("div", { "aria-busy": "true" });
  replace(node, h("h3", null, "Ports"), h("div", { class: "buttons" }, button("Look again", { "data-key": "again", onclick: load })), body);
  let timer = null;
  const off = on("event", () => { timer ??= setTimeout(load, 800); });
  async function load() {
    clearTimeout(timer);
    timer = null;
    try {
      const { ports } = await api.get("ports", { stack: id });
      replace(body, ports.length ? table("Ports", ["Service", "Port", "Number", "Wanted", "Now"], ports.map(one)) : h("p", null, "No service of this stack has a port."));
    } catch (error) {
      replace(body, h("p", { class: "problem" }, error.message));
    }
    body.removeAttribute("aria-busy");
  }
  load();
  return () => { off(); clearTimeout(timer); };
}

function one({ row: port, held, wanted_held: wantedHeld }) {
  const now = [];
  if (port.own) now.push(`the service listens${port.holder?.pid ? ` (pid ${port.holder.pid})` : ""}`);
  else if (held) now.push(`not the service: ${held}`);
  else if (port.elsewhere.length) now.push(`nothing; the service listens on ${port.elsewhere.join(", ")}`);
  else now.push("nothing listens");
  if (wantedHeld) now.push(`${port.wanted} ${wantedHeld}`);
  return row(port.service, port.port, String(port.actual), port.wanted === null ? "any" : String(port.wanted), now.map((text) => h("p", null, text)));
}
