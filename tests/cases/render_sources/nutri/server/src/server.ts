import { serve } from "@hono/node-server";
import { PrismaClient } from "@prisma/client";
import { Hono } from "hono";

const database = new PrismaClient();
const app = new Hono();

app.get("/api/health", (context) => context.json({ ok: true }));
app.get("/api/meals", async (context) => context.json(await database.meal.findMany({ take: 50 })));

serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 3000) });
