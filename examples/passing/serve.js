// A Node server on the socket that devstack passes: descriptor 3. It ends when what it accepted is answered.
'use strict';
const http = require('node:http');

if (process.env.LISTEN_PID !== String(process.pid)) {
  console.error('no socket was passed: write port = { prefer = 8000, pass = true }');
  process.exit(1);
}

const server = http.createServer((request, response) => {
  response.writeHead(200, { 'Content-Type': 'text/plain', Connection: 'close' });
  response.end(`pid ${process.pid}\n`);
});

server.listen({ fd: 3 }, () => console.log('listening'));
process.on('SIGTERM', () => server.close(() => process.exit(0)));
