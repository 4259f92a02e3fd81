import { slug } from "@kirby/shared";

console.log(`taking jobs, such as ${slug("A Portfolio, please")}`);
setInterval(() => undefined, 1000);
