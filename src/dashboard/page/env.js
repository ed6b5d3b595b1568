// The environment of a service. Values that look like secrets are not in the page until they are asked for.

import * as api from "./api.js";
import { button, h, replace, row, table } from "./dom.js";
import { on, state } from "./state.js";

const SOURCES = {
  inherited: () => "inherited by devstack",
  preset: (one) => `preset ${one.preset}`,
  "stack-file": (one) => `${one.file}:${one.line} (stack env_file)`,
  "stack-env": (one) => `${one.file}:${one.line} (stack env)`,
  "service-file": (one) => `${one.file}:${one.line} (env_file)`,
  "service-env": (one) => `${one.file}:${one.line} (env)`,
  devstack: () => "set by devstack",
  former: () => "configuration before the last edit",
};

// Files below the directory of the stack without it.
function sourceText(one) {
  const dir = `${state.snapshot?.dir ?? ""}/`;
  const file = one.file?.startsWith(dir) ? one.file.slice(dir.length) : one.file;
  return SOURCES[one.source]?.({ ...one, file }) ?? one.source;
}

export function show(node, id, params) {
  const select = h("select", { id: "env-service", onchange: load });
  const all = h("input", { type: "checkbox", id: "env-all", onchange: draw });
  const body = h("div", { "aria-busy": "true" });
  replace(node, h("h3", null, "Environment"),
    h("div", { class: "tools" }, h("label", { for: "env-service" }, "Service"), select, all, h("label", { for: "env-all" }, "with inherited variables")), body);
  let view = null;
  let shown = new Map();
  const names = () => {
    const known = (state.snapshot?.services ?? []).map((one) => one.name);
    if ([...select.options].map((one) => one.value).join() === known.join()) return;
    const chosen = select.value || params.get("service");
    replace(select, known.map((name) => h("option", { value: name }, name)));
    if (known.includes(chosen)) select.value = chosen;
    load();
  };
  const off = on("snapshot", names);
  async function load() {
    if (!select.value) return;
    shown = new Map();
    try {
      view = await api.get("env", { stack: id, service: select.value });
      draw();
    } catch (error) {
      replace(body, h("p", { class: "problem" }, error.message));
    }
    body.removeAttribute("aria-busy");
  }
  function draw() {
    if (!view) return;
    const variables = view.variables.filter((one) => all.checked || one.source !== "inherited");
    replace(body,
      h("p", null, view.run === null ? "Of the next run." : "Of the current run.", ` Working directory: ${view.dir}`),
      variables.length ? table(`Environment of ${view.service}`, ["Variable", "Value", "From"], variables.map(line)) : h("p", null, "Nothing is set."));
  }
  const text = (one) => one.value ?? (one.value_base64 ? `${one.value_base64} (base64)` : "(cannot be expanded)");
  function line(one) {
    const known = shown.get(one.name);
    const value = one.hidden && !known
      ? [h("span", { class: "note" }, "hidden "), button("Show", { "aria-label": `Show ${one.name}`, "data-key": `show ${one.name}`, onclick: () => reveal(one.name) })]
      : known ? [h("code", null, text(known)), " ", button("Hide", { "aria-label": `Hide ${one.name}`, "data-key": `show ${one.name}`, onclick: () => { shown.delete(one.name); draw(); } })]
      : h("code", null, text(one));
    const hides = (one.hides ?? []).map((other) => h("p", { class: "note" }, `overrides ${other.hidden ? "a hidden value" : text(other)}, ${sourceText(other)}`));
    return row(one.name, value, [sourceText(one), hides]);
  }
  async function reveal(name) {
    const answer = await api.get("env", { stack: id, service: select.value, reveal: name });
    const found = answer.variables.find((one) => one.name === name);
    if (found) shown.set(name, found);
    draw();
  }
  names();
  return off;
}
