// The connection that the other programs share: waits for Redis as long as it takes.
import { createRequire } from "node:module";

// The packages are installed beside a cache, not beside these files.
const require = createRequire(`${process.env.NODE_PACKAGES}/package.json`);
export const { Queue, QueueEvents, Worker, UnrecoverableError } = require("bullmq");
const { Redis } = require("ioredis");

export const connect = () => new Redis(process.env.REDIS_URL, { maxRetriesPerRequest: null });

export const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);
