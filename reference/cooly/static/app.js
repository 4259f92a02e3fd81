// The page: log in, ask for a picture, watch it appear, look at the earlier ones.
import { Live } from "/static/live.js";

const IDEAS = ["Snowy peaks at dawn", "Aurora over a fjord", "Desert dunes, golden hour", "Misty forest by the lake", "A storm at sea", "Sunset, birds in the air"];
const UNFINISHED = new Set(["queued", "working"]);
const $ = (id) => document.getElementById(id);
const pictures = new Map(); // by id, the newest first in the gallery
const tiles = new Map();
let csrf = null;
let shown = null; // the id on the stage
let cost = 1;
let live = null;

class Refused extends Error {
  constructor(status, error, wait) {
    super(error.message ?? `The server answered ${status}. Please try again.`);
    this.status = status;
    this.code = error.code;
    this.wait = wait;
  }
}

async function call(path, body) {
  const headers = body === undefined ? {} : { "Content-Type": "application/json", ...(csrf ? { "X-CSRF-Token": csrf } : {}) };
  let response;
  try {
    response = await fetch(path, { method: body === undefined ? "GET" : "POST", headers, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    throw new Refused(0, { message: "The server cannot be reached. Please try again." });
  }
  const answer = await response.json().catch(() => ({}));
  if (response.ok) return answer.data;
  const refused = new Refused(response.status, answer.error ?? {}, Number(response.headers.get("Retry-After")));
  if (response.status === 401 && csrf) leave("You were logged out. Please log in again.");
  throw refused;
}

// Who is here.

function showLogin(welcome, problem = "") {
  $("studio").hidden = true;
  $("login").hidden = false;
  $("login-problem").textContent = problem;
  $("demo").hidden = !welcome?.demo;
  if (welcome?.demo) {
    $("demo-email").textContent = welcome.demo.email;
    $("demo-password").textContent = welcome.demo.password;
  }
  $("email").focus();
}

async function enter(welcome) {
  csrf = welcome.me.csrf;
  cost = welcome.cost;
  $("login").hidden = true;
  $("studio").hidden = false;
  $("who").textContent = welcome.me.email;
  showCredits(welcome.me);
  showCount();
  live = new Live({ update, offline: showConnection, load: (id) => call(`/api/generations/${id}`) });
  live.start();
  try {
    const all = await call("/api/generations");
    for (const picture of all.reverse()) place(picture);
    const first = all.findLast((one) => UNFINISHED.has(one.state)) ?? all.findLast((one) => one.state === "done");
    if (first) stage(first.id);
  } catch (error) {
    $("problem").textContent = error.message;
  }
  $("none").hidden = pictures.size > 0;
}

async function leave(problem) {
  live?.stop();
  live = csrf = shown = null;
  pictures.clear();
  tiles.clear();
  $("gallery").replaceChildren();
  $("prompt").value = "";
  render(null);
  showLogin(await call("/api/me").catch(() => null), problem);
}

function showCredits(me) {
  const text = document.createElement("span");
  text.textContent = `${me.credits} ${me.credits === 1 ? "credit" : "credits"} `;
  const held = document.createElement("small");
  const word = document.createElement("span");
  word.textContent = " reserved";
  if (me.reserved) held.append(`+ ${me.reserved}`, word);
  $("credits-text").replaceChildren(text, held);
}

async function loadCredits() {
  const welcome = await call("/api/me").catch(() => null);
  if (welcome?.me) showCredits(welcome.me);
}

function showConnection(text) {
  $("connection").textContent = text;
  $("connection").hidden = !text;
}

// Pictures.

function place(picture) {
  pictures.set(picture.id, picture);
  if (!tiles.has(picture.id)) {
    const tile = $("tile").content.firstElementChild.cloneNode(true);
    tile.querySelector("button").addEventListener("click", () => {
      stage(picture.id);
      $("stage").scrollIntoView({ block: "nearest" });
    });
    tiles.set(picture.id, tile);
    $("gallery").prepend(tile);
    $("none").hidden = true;
  }
  fillTile(tiles.get(picture.id), picture);
  if (UNFINISHED.has(picture.state)) live?.watch(picture.id);
}

function fillTile(tile, picture) {
  const waiting = UNFINISHED.has(picture.state);
  tile.classList.toggle("waiting", waiting);
  tile.classList.toggle("failed", picture.state === "failed");
  tile.querySelector(".words").textContent = picture.prompt;
  const state = waiting ? ", being made" : picture.state === "failed" ? ", failed" : "";
  tile.querySelector("button").setAttribute("aria-label", `${picture.prompt}${state}`);
  setImage(tile.querySelector("img"), picture.smallUrl ?? previewOf(picture), picture.id);
}

// A signed address runs out after a while: then a fresh one is asked for, once.
function setImage(image, address, id) {
  image.hidden = !address;
  if (!address) return image.removeAttribute("src");
  if (image.src === address) return;
  image.onerror = id && (async () => {
    image.onerror = null;
    const fresh = await call(`/api/generations/${id}`).catch(() => null);
    if (fresh) update(fresh);
  });
  image.src = address;
}

const previews = new Map(); // by picture: the base64 and the address made from it

function previewOf(picture) {
  const old = previews.get(picture.id);
  const coded = picture.progress?.preview;
  if (!UNFINISHED.has(picture.state)) {
    if (old) URL.revokeObjectURL(old.address);
    previews.delete(picture.id);
    return null;
  }
  if (!coded || coded === old?.coded) return old?.address ?? null;
  const bytes = Uint8Array.from(atob(coded), (letter) => letter.charCodeAt(0));
  if (old) setTimeout(() => URL.revokeObjectURL(old.address), 1000);
  previews.set(picture.id, { coded, address: URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" })) });
  return previews.get(picture.id).address;
}

function update(picture) {
  const before = pictures.get(picture.id);
  if (before && !UNFINISHED.has(before.state) && UNFINISHED.has(picture.state)) return; // older than what is known
  place(picture);
  if (shown === picture.id || (shown === null && !before)) stage(picture.id);
  if (before?.state !== picture.state || before?.credits !== picture.credits) loadCredits();
}

function stage(id) {
  if (shown !== id) {
    tiles.get(shown)?.querySelector("button").removeAttribute("aria-current");
    tiles.get(id)?.querySelector("button").setAttribute("aria-current", "true");
  }
  shown = id;
  render(pictures.get(id));
}

function render(picture) {
  const state = !picture ? "empty" : UNFINISHED.has(picture.state) ? "working" : picture.state;
  const preview = picture ? previewOf(picture) : null;
  $("stage").dataset.state = state;
  $("stage").classList.toggle("seen", Boolean(preview));
  $("caption").textContent = picture ? `“${picture.prompt}”` : "";
  showPreview(state, picture, preview);
  setImage($("picture"), state === "done" ? picture.imageUrl : null, picture?.id);
  setImage($("glow"), state === "done" ? picture.smallUrl : preview, picture?.id);
  $("picture").alt = state === "done" ? picture.prompt : "";
  if (state === "done") $("open").href = picture.imageUrl;
  if (state === "working") {
    $("note").textContent = picture.progress?.note || "Waiting for a free easel";
    $("done").value = picture.progress?.done ?? 0;
  }
  if (state === "failed") {
    $("failure").textContent = picture.error ?? "This picture could not be made.";
    $("failure-credit").textContent = picture.credits === "released" ? "Your credit is back." : "Your credit is on its way back.";
  }
}

// Under the picture lies its blur, so that it seems to sharpen: the last one of the work, or the gallery's copy.
function showPreview(state, picture, preview) {
  const same = $("preview").dataset.of === picture?.id && !$("preview").hidden;
  if (state === "done" && same) return;
  setImage($("preview"), state === "working" ? preview : state === "done" ? picture.smallUrl : null);
  $("preview").dataset.of = picture?.id ?? "";
}

// Asking.

function showCount() {
  const length = $("prompt").value.length;
  $("count").textContent = length > 300 ? `${length} of 400` : `${cost} credit a picture`;
}

async function ask(event) {
  event.preventDefault();
  const prompt = $("prompt").value.trim();
  $("problem").textContent = prompt.length < 3 ? "Please describe what you would like to see." : "";
  if (prompt.length < 3) return $("prompt").focus();
  $("generate").disabled = true;
  try {
    const made = await call("/api/generations", { prompt });
    const known = pictures.get(made.id); // the live connection may have been quicker
    place(known ?? { id: made.id, jobId: made.jobId, prompt, state: "queued", credits: "reserved", progress: null });
    stage(made.id);
    loadCredits();
    if (matchMedia("(max-width: 60rem)").matches) $("stage").scrollIntoView({ block: "start" });
  } catch (error) {
    $("problem").textContent = error.code === "csrf" ? "This page has grown old. Reloading…" : error.message;
    if (error.code === "csrf") location.reload();
  } finally {
    $("generate").disabled = false;
  }
}

async function logIn(event) {
  event.preventDefault();
  const [email, password] = [$("email").value.trim(), $("password").value];
  $("login-problem").textContent = email && password ? "" : "Please fill in both.";
  if (!email || !password) return (email ? $("password") : $("email")).focus();
  $("login-send").disabled = true;
  try {
    const welcome = await call("/api/login", { email, password });
    $("password").value = "";
    await enter(welcome);
    $("prompt").focus();
  } catch (error) {
    $("login-problem").textContent = error.message;
    $("password").select();
  } finally {
    $("login-send").disabled = false;
  }
}

function reuse(prompt) {
  $("prompt").value = prompt;
  showCount();
  $("prompt").focus();
}

$("login-form").addEventListener("submit", logIn);
$("demo-fill").addEventListener("click", () => {
  $("email").value = $("demo-email").textContent;
  $("password").value = $("demo-password").textContent;
  $("login-send").focus();
});
$("logout").addEventListener("click", async () => {
  await call("/api/logout", {}).catch(() => null);
  leave("");
});
$("wish").addEventListener("submit", ask);
$("prompt").addEventListener("input", showCount);
$("prompt").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("wish").requestSubmit();
});
$("reuse").addEventListener("click", () => reuse(pictures.get(shown)?.prompt ?? ""));
$("again").addEventListener("click", () => {
  reuse(pictures.get(shown)?.prompt ?? "");
  $("wish").requestSubmit();
});
for (const idea of IDEAS) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "quiet";
  button.textContent = idea;
  button.addEventListener("click", () => reuse(idea));
  $("ideas").append(button);
}

try {
  const welcome = await call("/api/me");
  if (welcome.me) await enter(welcome);
  else showLogin(welcome);
} catch (error) {
  showLogin(null, error.message);
}
