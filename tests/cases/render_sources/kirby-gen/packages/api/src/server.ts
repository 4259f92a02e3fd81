import { serve } from "@hono/node-server";
import { slug, type Generation } from "@kirby/shared";
import { Hono } from "hono";

const app = new Hono();

app.get("/api/health", (context) => context.json({ ok: true, user: process.getuid?.() }));
app.get("/api/generations/:prompt", (context) => {
  const prompt = context.req.param("prompt");
  const generation: Generation = { id: slug(prompt), prompt, state: "waiting" };
  return context.json(generation);
});

const server = serve({ fetch: app.fetch, hostname: process.env.HOST, port: Number(process.env.PORT ?? 3000) });
console.log("listening");

// Open requests are answered before the process ends.
process.on("SIGTERM", () => server.close(() => process.exit(0)));
