/** The API: takes the text of a repository's file, hands it to the worker, and tells how far that is. */
import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createClient } from "redis";

const QUEUE = "repo-analysis";
const LARGEST = 1_000_000;
const DEBUG = process.env.LOG_LEVEL === "debug";

const queue = createClient({ url: process.env.REDIS_URL, disableOfflineQueue: true });
queue.on("error", (error: Error) => console.error(`redis: ${error.message}`));
queue.on("ready", () => console.log("connected to redis"));
void queue.connect();

function answer(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

async function text(request: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of request) {
    length += (part as Buffer).length;
    if (length > LARGEST) throw new RangeError("too large");
    parts.push(part as Buffer);
  }
  return Buffer.concat(parts).toString("utf8");
}

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const path = new URL(request.url ?? "/", "http://api").pathname;
  if (request.method === "GET" && path === "/api/health") {
    return answer(response, 200, { ok: true });
  }
  if (request.method === "POST" && path === "/api/analyses") {
    const job = { id: randomUUID(), text: await text(request) };
    await queue.hSet(`analysis:${job.id}`, { state: "waiting" });
    await queue.lPush(QUEUE, JSON.stringify(job));
    return answer(response, 202, { id: job.id });
  }
  const id = /^\/api\/analyses\/([\w-]+)$/.exec(path)?.[1];
  const found = id === undefined ? {} : await queue.hGetAll(`analysis:${id}`);
  return Object.keys(found).length > 0 ? answer(response, 200, found) : answer(response, 404, { error: "not found" });
}

const server = createServer((request, response) => {
  if (DEBUG) console.log(`${request.method} ${request.url}`);
  handle(request, response).catch((error: Error) => {
    console.error(error.message);
    answer(response, error instanceof RangeError ? 413 : 503, { error: error.message });
  });
});

const port = Number(process.env.PORT ?? 3001);
server.listen(port, process.env.HOST, () => console.log(`listening on ${port}`));

// Open requests are answered before the process ends.
process.on("SIGTERM", () => server.close(() => process.exit(0)));
