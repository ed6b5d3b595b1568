// The shop as a page. It calls /api on its own address; vite.config.js hands that on to the API.

const find = (id) => document.getElementById(id);
const money = (cents) => (cents / 100).toFixed(2);

async function ask(path, options) {
  const answer = await fetch(`/api${path}`, options);
  const body = await answer.json().catch(() => ({ error: `the API answered ${answer.status}` }));
  if (!answer.ok) throw new Error(body.error);
  return body;
}

function element(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}

async function showProducts() {
  const products = await ask("/products");
  find("products").replaceChildren(
    ...products.map((product) => {
      const item = element("li", `${product.name}, ${money(product.cents)} `);
      const button = element("button", "Buy");
      button.onclick = () => attempt(() => buy(product.id));
      item.append(button);
      return item;
    }),
  );
}

async function showOrders() {
  const orders = await ask("/orders");
  find("orders").replaceChildren(
    ...orders.map((order) => {
      const row = document.createElement("tr");
      row.append(
        element("td", order.id),
        element("td", `${order.quantity} × ${order.product}`),
        element("td", money(order.cents)),
        element("td", order.status),
      );
      return row;
    }),
  );
}

async function buy(product) {
  await ask("/orders", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ product, quantity: 1 }),
  });
  await showOrders();
}

// The API goes away for a moment whenever its source is edited: show it, and go on.
async function attempt(action) {
  try {
    await action();
    find("error").textContent = "";
  } catch (error) {
    find("error").textContent = error.message;
  }
}

await attempt(async () => {
  find("greeting").textContent = (await ask("/")).greeting;
  await showProducts();
});
await attempt(showOrders);
// The worker needs a moment for an order, the API for a restart; when all is done there is nothing to ask for.
setInterval(() => {
  const open = [...find("orders").rows].some((row) => row.lastChild.textContent !== "done");
  if (open || find("error").textContent) attempt(showOrders);
}, 1000);
