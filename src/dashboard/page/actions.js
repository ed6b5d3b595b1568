// What buttons do, and how it is said what came of it.

import * as api from "./api.js";
import { nodes } from "./ansi.js";
import { button, h, replace } from "./dom.js";
import { notice, refresh, state } from "./state.js";

const VERBS = { start: "Start", stop: "Stop", restart: "Restart", debug: "Debug mode", undebug: "Run mode", down: "Stop the stack" };

export async function act(what, services = []) {
  const about = services.length === 1 ? ` ${services[0]}` : "";
  if (what !== "down" && !services.length) return notice("No service runs.");
  try {
    const { text, done } = await api.post("do", { stack: state.id, what, services });
    notice(done ? `${VERBS[what]}${about}: ${text}.` : `${VERBS[what]}${about}: requested. It takes a while.`);
  } catch (error) {
    notice(`${VERBS[what]}${about}: ${error.message}${error.help ? ` (${error.help})` : ""}`, "failure");
  }
  refresh();
}

function dialog(title, ...content) {
  const node = h("dialog", { "aria-labelledby": "dialog-title" }, h("h2", { id: "dialog-title" }, title), content);
  node.addEventListener("close", () => node.remove());
  document.body.append(node);
  node.showModal();
  return node;
}

export function confirmDown() {
  const name = state.snapshot?.stack ?? "this stack";
  const close = () => node.close();
  const node = dialog(`Stop ${name}?`,
    h("p", null, "All its services are stopped, and devstack ends."),
    h("div", { class: "buttons" },
      button("Keep it running", { onclick: close, autofocus: true }),
      button("Stop the stack", { class: "danger", onclick: () => { close(); act("down"); } })));
}

// Runs an action that the configuration declares. Asks for its arguments first.
export function runAction(service, action) {
  if (!action.args.length) return run(service, action, []);
  const fields = action.args.map((name, at) => {
    const input = h("input", { id: `arg-${at}`, required: true, autocomplete: "off", autofocus: at === 0 });
    return [input, h("p", null, h("label", { for: `arg-${at}` }, name), input)];
  });
  const form = h("form", { method: "dialog" }, action.help ? h("p", null, action.help) : null, fields.map(([, node]) => node),
    h("div", { class: "buttons" }, button("Cancel", { onclick: () => node.close() }), h("button", { type: "submit" }, "Run")));
  const node = dialog(`${service}: ${action.name}`, form);
  form.addEventListener("submit", () => run(service, action, fields.map(([input]) => input.value)));
}

// Ends an action where it runs, or only the one with this number.
export async function endAction(service, action, number) {
  try {
    const { text } = await api.post("action/stop", { stack: state.id, service, action, number });
    notice(`${text}.`);
  } catch (error) {
    notice(`${error.message}${error.help ? ` (${error.help})` : ""}`, "failure");
  }
  refresh();
}

async function run(service, action, args) {
  const output = h("pre", { class: "log", tabindex: 0, "aria-label": "Output" });
  const result = h("p", { role: "status" }, "Running …");
  let number;
  const end = button("End it", { disabled: true, onclick: () => endAction(service, action.name, number) });
  const node = dialog(`${service}: ${[action.name, ...args].join(" ")}`, result, output,
    h("div", { class: "buttons" }, end, button("Close", { onclick: () => node.close() })));
  let rest = "";
  const take = ({ item }) => {
    if (item.what === "started") {
      number = item.number;
      end.disabled = false;
    } else if (item.what === "output") {
      const lines = (rest + (item.text ?? "")).split("\n");
      rest = lines.pop();
      for (const line of lines) output.append(h("span", { class: "line" }, nodes(line), "\n"));
      while (output.childElementCount > 1_000) output.firstElementChild.remove();
      output.scrollTop = output.scrollHeight;
    } else if (item.what === "ended") {
      const { code, signal } = item.exit;
      result.textContent = code === 0 ? "Done." : signal ? `Ended by signal ${signal}.` : `Exited with code ${code}.`;
    } else if (item.what === "failed") {
      replace(result, `${item.error.text}${item.error.help ? ` (${item.error.help})` : ""}`);
    }
  };
  try {
    await api.follow("action", null, take, undefined, { stack: state.id, service, action: action.name, args });
    if (rest) output.append(h("span", { class: "line" }, nodes(rest), "\n"));
  } catch (error) {
    replace(result, `${error.message}${error.help ? ` (${error.help})` : ""}`);
  }
  end.disabled = true;
  refresh();
}
