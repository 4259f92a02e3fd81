// Works on a queue until it is killed; what it does with a job is in the job's data, and it says what it began.
import { setTimeout as sleep } from "node:timers/promises";
import { connect, say, UnrecoverableError, Worker } from "./connection.mjs";

async function work(job) {
  say({ began: job.id, name: job.name, attempt: job.attemptsMade + 1 });
  const { milliseconds = 0, failures = 0, fatal, value = null, progress = [] } = job.data;
  for (const one of progress) {
    await job.updateProgress(one);
    await sleep(milliseconds / progress.length);
  }
  if (!progress.length) await sleep(milliseconds);
  if (fatal) throw new UnrecoverableError(fatal);
  if (job.attemptsMade < failures) throw new Error(`attempt ${job.attemptsMade + 1} failed`);
  return value;
}

const worker = new Worker(process.argv[2], work, { connection: connect(), concurrency: 20 });
worker.on("error", (error) => process.stderr.write(`${error.message}\n`));
await worker.waitUntilReady();
say({ ready: true });
