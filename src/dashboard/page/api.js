// The server, with the token of this tab.

const KEY = "devstack-token";
const channel = "BroadcastChannel" in window ? new BroadcastChannel("devstack") : null;
const WAIT_FOR_TABS = 300;

export class ApiError extends Error {
  constructor(status, message) {
    super(message.text);
    this.status = status;
    this.help = message.help ?? "";
  }
}

// The token is in the address only until here: it does not stay in the history.
export async function begin() {
  const params = new URLSearchParams(location.hash.slice(1));
  const given = { token: params.get("token"), code: params.get("code") };
  const stack = params.get("stack");
  if (given.token || given.code) {
    history.replaceState(null, "", stack ? `#/${encodeURIComponent(stack)}/services` : "#/");
  }
  if (given.token) sessionStorage.setItem(KEY, given.token);
  if (given.code) {
    const answer = await fetch("/api/token", request("POST", { code: given.code }));
    if (answer.ok) sessionStorage.setItem(KEY, (await answer.json()).token);
  }
  // Other tabs of this page may know it.
  if (!token() && channel) {
    const told = await new Promise((resolve) => {
      channel.onmessage = ({ data }) => data?.token && resolve(data.token);
      channel.postMessage({ ask: true });
      setTimeout(() => resolve(null), WAIT_FOR_TABS);
    });
    if (told) sessionStorage.setItem(KEY, told);
  }
  if (channel) {
    channel.onmessage = ({ data }) => data?.ask && token() && channel.postMessage({ token: token() });
  }
  return Boolean(token());
}

export const token = () => sessionStorage.getItem(KEY);
export const forget = () => sessionStorage.removeItem(KEY);

function request(method, body, signal) {
  const headers = {};
  if (token()) headers.authorization = `Bearer ${token()}`;
  if (body !== undefined) headers["content-type"] = "application/json";
  const sent = body === undefined ? undefined : JSON.stringify(body);
  return { method, headers, body: sent, signal, cache: "no-store", credentials: "omit", redirect: "error" };
}

async function ask(path, options) {
  const answer = await fetch(path, options);
  if (answer.ok) return answer;
  let message = { text: `the dashboard answered with status ${answer.status}` };
  try {
    message = (await answer.json()).error ?? message;
  } catch { /* It is not of the dashboard. */ }
  throw new ApiError(answer.status, message);
}

export function path(name, params) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(params ?? {})) {
    if (value !== null && value !== undefined && value !== "") query.set(key, value);
  }
  // The server reads `+` as it is.
  const text = query.toString().replaceAll("+", "%20");
  return text ? `/api/${name}?${text}` : `/api/${name}`;
}

export const get = async (name, params, signal) => (await ask(path(name, params), request("GET", undefined, signal))).json();
export const post = async (name, body) => (await ask(path(name), request("POST", body))).json();

// Calls `take` with each object of a response that lasts; returns at its end.
export async function follow(name, params, take, signal, body) {
  const options = request(body === undefined ? "GET" : "POST", body, signal);
  const answer = await ask(path(name, params), options);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = [];
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = value.split("\n");
    for (const part of parts.slice(0, -1)) {
      const line = rest.length ? rest.join("") + part : part;
      rest = [];
      if (line) take(JSON.parse(line));
    }
    if (parts.at(-1)) rest.push(parts.at(-1));
  }
}
