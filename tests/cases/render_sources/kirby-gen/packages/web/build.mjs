import { mkdirSync, readFileSync, writeFileSync } from "node:fs";

const page = readFileSync("src/index.html", "utf8").replace("%VITE_API_URL%", process.env.VITE_API_URL ?? "");
mkdirSync("dist", { recursive: true });
writeFileSync("dist/index.html", page);
