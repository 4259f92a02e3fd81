// News of pictures that are being made: one WebSocket for all; without it a stream for each; without that, asking.

const SOONEST = 1000; // ms until the WebSocket is tried again; doubled up to the longest
const LONGEST = 30000;
const ASK = 2000;
const NOT_LOGGED_IN = 4401;

export class Live {
  // `update(picture)` is told every change, `offline(text)` what to tell the person, `load(id)` asks for one picture.
  constructor({ update, offline, load }) {
    this.update = update;
    this.offline = offline;
    this.load = load;
    this.open = new Map(); // unfinished pictures, and what watches each when the WebSocket does not
    this.socket = null;
    this.heard = false;
    this.wait = SOONEST;
    this.stopped = false;
  }

  start() {
    if (this.stopped) return;
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`);
    this.socket = socket;
    socket.onmessage = ({ data }) => {
      const message = JSON.parse(data);
      if (message.type === "hello") this.connected();
      if (message.type === "generation") this.tell(message.data);
    };
    socket.onclose = ({ code }) => {
      this.heard = false;
      if (this.stopped || code === NOT_LOGGED_IN) return;
      for (const id of this.open.keys()) this.stream(id);
      this.again = setTimeout(() => this.start(), this.wait * (0.5 + Math.random()));
      this.wait = Math.min(2 * this.wait, LONGEST);
    };
  }

  connected() {
    this.heard = true;
    this.wait = SOONEST;
    this.offline("");
    for (const id of this.open.keys()) {
      this.unhook(id);
      this.look(id); // what ended while nobody listened is not told again
    }
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.again);
    this.socket?.close();
    for (const id of [...this.open.keys()]) this.forget(id);
  }

  watch(id) {
    if (this.open.has(id)) return;
    this.open.set(id, null);
    if (!this.heard && this.socket?.readyState === WebSocket.CLOSED) this.stream(id);
  }

  stream(id) {
    this.unhook(id);
    const source = new EventSource(`/api/generations/${id}/events`);
    this.open.set(id, () => source.close());
    source.onopen = () => this.offline("");
    source.onmessage = ({ data }) => this.tell(JSON.parse(data));
    source.onerror = () => {
      if (source.readyState !== EventSource.CLOSED) return this.offline("Reconnecting…");
      this.poll(id);
    };
  }

  poll(id) {
    this.unhook(id);
    const timer = setInterval(() => this.look(id), ASK);
    this.open.set(id, () => clearInterval(timer));
  }

  async look(id) {
    try {
      this.tell(await this.load(id));
      this.offline("");
    } catch (error) {
      if (error.status === 404) this.forget(id);
      else this.offline("Reconnecting…");
    }
  }

  tell(picture) {
    if (this.stopped) return;
    if (["done", "failed"].includes(picture.state) && picture.credits !== "reserved") this.forget(picture.id);
    this.update(picture);
  }

  unhook(id) {
    this.open.get(id)?.();
    if (this.open.has(id)) this.open.set(id, null);
  }

  forget(id) {
    this.open.get(id)?.();
    this.open.delete(id);
  }
}
