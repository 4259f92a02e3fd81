// Adds the jobs that stdin lists (one JSON array of {name, data, opts}), waits for the end of each, and says it.
import { text } from "node:stream/consumers";
import { connect, Queue, QueueEvents, say } from "./connection.mjs";

const queue = new Queue(process.argv[2], { connection: connect() });
const events = new QueueEvents(process.argv[2], { connection: connect() });
await events.waitUntilReady();
const jobs = await queue.addBulk(JSON.parse(await text(process.stdin)));
say({ added: jobs.map((job) => job.id) });
for (const job of jobs) {
  try {
    say({ id: job.id, value: await job.waitUntilFinished(events, 60_000) });
  } catch (error) {
    say({ id: job.id, failed: error.message });
  }
}
process.exit(0);
