import { defineConfig } from "vite";

// The port and the address come from devstack on the command line; the API's address comes in VITE_API.
export default defineConfig({
  clearScreen: false,
  server: {
    strictPort: true,
    proxy: {
      "/api": {
        target: process.env.VITE_API,
        rewrite: (path) => path.slice("/api".length),
      },
    },
  },
});
