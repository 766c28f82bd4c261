// Keeps a page current: asks for what has changed, and is told "nothing" (304) most of the time. One request at a time,
// none while the tab is hidden.
import { dress } from "./face.js";
import { drawAll } from "./plot.js";

const SECONDS = 3;
const SLOWEST = 60;
const page = document.querySelector("[data-live]");
const status = document.getElementById("connection");
let etag = "";
let shownCurves = page.dataset.curves;
let wait = SECONDS;
let staleAt = Infinity; // when time alone will have changed what the page says

/** Replace what differs, so that what the reader has opened, or has the focus in, stays. */
function replaceParts(parts) {
  for (const [id, html] of Object.entries(parts)) {
    const element = document.getElementById(id);
    if (element.received === html) continue;
    element.received = html;
    element.innerHTML = html;
    dress(element);
  }
}

async function refresh() {
  if (Date.now() >= staleAt) etag = "";
  const headers = { Accept: "application/json", ...(etag && { "If-None-Match": etag }) };
  const answer = await fetch(page.dataset.live, { headers, cache: "no-store" });
  if (answer.status === 304) return;
  if (answer.redirected || answer.status === 403) throw new Error("You are signed out, or may no longer see this. Reload the page.");
  if (answer.status === 404) throw new Error("The training has been deleted.");
  if (!answer.ok) throw new Error("The server doesn't answer. The page shows what was last known.");
  etag = answer.headers.get("ETag");
  const { parts, curves, stale_in: staleIn } = await answer.json();
  staleAt = staleIn === null ? Infinity : Date.now() + staleIn * 1000;
  replaceParts(parts);
  if (curves !== shownCurves) {
    await Promise.all([...page.querySelectorAll("[data-plots]")].map(drawAll));
    shownCurves = curves;
  }
}

async function keepCurrent() {
  if (!document.hidden) {
    try {
      await refresh();
      status.textContent = "";
      wait = SECONDS;
    } catch (error) {
      status.textContent = error instanceof TypeError ? "The server can't be reached. The page shows what was last known." : error.message;
      wait = Math.min(SLOWEST, wait * 2);
    }
  }
  setTimeout(keepCurrent, wait * 1000);
}

keepCurrent();
