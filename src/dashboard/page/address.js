// The part of the address after `#`: `#/ID/VIEW?key=value`.

export function where(views) {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [id, view] = path.split("/").map((part) => {
    try { return decodeURIComponent(part); } catch { return ""; }
  });
  return { id: id || null, view: views.includes(view) ? view : views[0], params: new URLSearchParams(query) };
}

export function link(id, view, params) {
  const query = new URLSearchParams(params ?? {}).toString();
  return `#/${encodeURIComponent(id)}/${view}${query ? `?${query}` : ""}`;
}
