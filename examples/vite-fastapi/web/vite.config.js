import { defineConfig } from "vite";

export default defineConfig({
  // devstack sets the URL of each service that this one depends on.
  server: { proxy: { "/api": process.env.DEVSTACK_API_URL } },
});
