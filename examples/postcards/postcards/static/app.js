// The page: send a photo, watch its card appear, show the earlier ones.

const MAX_BYTES = 10 * 1024 * 1024;
const STATES = { queued: "Waiting for the printer…", working: "Printing…" };

const form = document.querySelector("#write");
const photo = document.querySelector("#photo");
const greeting = document.querySelector("#greeting");
const drop = document.querySelector("#drop");
const preview = document.querySelector("#preview");
const problem = document.querySelector("#problem");
const send = document.querySelector("#send");
const gallery = document.querySelector("#gallery");
const limit = Number(form.dataset.greetingLimit);

function showPhoto() {
  const file = photo.files[0];
  if (preview.src) URL.revokeObjectURL(preview.src);
  preview.removeAttribute("src"); // without a source no error is raised either
  if (file) preview.src = URL.createObjectURL(file);
  preview.hidden = !file;
  preview.alt = file ? `Chosen photo: ${file.name}` : "";
  drop.classList.toggle("full", Boolean(file));
  document.querySelector("#invite").hidden = Boolean(file);
  problem.textContent = "";
}

function showCount() {
  document.querySelector("#count").textContent = `${greeting.value.length} of ${limit}`;
}

function showEmpty() {
  document.querySelector("#empty").hidden = gallery.children.length > 0;
}

// What is wrong with the form, and where; the server checks all of it again.
function fault() {
  const file = photo.files[0];
  if (!file) return ["Please choose a photo.", photo];
  if (file.size > MAX_BYTES) return ["The photo is larger than 10 MB.", photo];
  if (!greeting.value.trim()) return ["Please write a greeting.", greeting];
  return null;
}

function newTile(card) {
  const tile = document.querySelector("#tile").content.firstElementChild.cloneNode(true);
  tile.querySelector(".greeting").textContent = card.greeting;
  tile.querySelector(".greeting").title = card.greeting;
  tile.querySelector(".original").href = `/api/cards/${card.id}/original`;
  tile.querySelector(".original").setAttribute("aria-label", `Original photo of “${card.greeting}”`);
  fill(tile, card);
  if (card.state in STATES) watch(tile, card.id);
  return tile;
}

function fill(tile, card) {
  tile.classList.toggle("waiting", card.state in STATES);
  tile.classList.toggle("failed", card.state === "failed");
  tile.querySelector(".frame").setAttribute("aria-busy", String(card.state in STATES));
  if (!card.image_url) {
    tile.querySelector(".state").textContent = card.error ?? STATES[card.state];
    return;
  }
  const link = document.createElement("a");
  const image = document.createElement("img");
  link.href = image.src = card.image_url;
  image.alt = `Postcard: ${card.greeting}`;
  image.width = 1200;
  image.height = 800;
  link.append(image);
  tile.querySelector(".frame").replaceChildren(link);
}

// The browser reconnects by itself when the stream breaks off before the card is settled.
function watch(tile, id) {
  const stream = new EventSource(`/api/cards/${id}/events`);
  stream.onmessage = (event) => {
    const card = JSON.parse(event.data);
    if (!(card.state in STATES)) {
      stream.close();
      tile.classList.add("fresh");
      document.querySelector("#news").textContent = card.error ?? `Your postcard “${card.greeting}” is ready.`;
    }
    fill(tile, card);
  };
}

async function answerOf(response) {
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(answer.error ?? `The server answered ${response.status}. Please try again.`);
  return answer;
}

async function submit(event) {
  event.preventDefault();
  const wrong = fault();
  problem.textContent = wrong ? wrong[0] : "";
  if (wrong) {
    wrong[1].focus();
    return;
  }
  send.disabled = true;
  try {
    const words = greeting.value.trim();
    const response = await fetch("/api/cards", { method: "POST", body: new FormData(form) });
    const { id, state } = await answerOf(response);
    gallery.prepend(newTile({ id, state, greeting: words, image_url: null, error: null }));
    form.reset();
    showPhoto();
    showCount();
    showEmpty();
  } catch (error) {
    problem.textContent = error instanceof TypeError ? "The server cannot be reached. Please try again." : error.message;
  } finally {
    send.disabled = false;
  }
}

async function showGallery() {
  try {
    const { cards } = await answerOf(await fetch("/api/cards"));
    gallery.append(...cards.map(newTile));
    showEmpty();
  } catch {
    problem.textContent = "The earlier postcards could not be loaded. Please reload the page.";
  }
}

for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  drop.addEventListener(kind, (event) => {
    event.preventDefault();
    drop.classList.toggle("over", kind === "dragenter" || kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) {
      photo.files = event.dataTransfer.files;
      showPhoto();
    }
  });
}
photo.addEventListener("change", showPhoto);
preview.addEventListener("error", () => {
  photo.value = "";
  showPhoto();
  problem.textContent = "This file cannot be shown as a picture. Please choose a JPEG, PNG or WebP photo.";
});
greeting.addEventListener("input", showCount);
form.addEventListener("submit", submit);
showCount();
showGallery();
