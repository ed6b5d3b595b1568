const express = require("express");

const app = express();
// nginx, on this machine, says in X-Forwarded-* who asks, and for what.
app.set("trust proxy", "loopback");

app.get("/", (request, response) => {
  response.send(`<!doctype html>
<link rel="stylesheet" href="/style.css">
<h1>Hello from Express</h1>
<p>You asked ${request.protocol}://${request.host}, and nginx asked this app.</p>
`);
});

app.get("/health", (_, response) => {
  response.send("ok\n");
});

// devstack chooses the port.
const { HOST, PORT } = process.env;
app.listen(PORT, HOST, () => console.log(`listening on ${HOST}:${PORT}`));
