/** What the page, the API and the worker agree on. */
export interface Generation {
  id: string;
  prompt: string;
  state: "waiting" | "done";
}

export function slug(text: string): string {
  return text.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "");
}
