// Times in the reader's zone, and buttons that copy an id. A page works without it: times are the server's then.
const ZONE = Intl.DateTimeFormat().resolvedOptions().timeZone;
const ABSOLUTE = new Intl.DateTimeFormat("sv-SE", {
  year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
});
const NAMED = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "long" });
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "always" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

/** How far a time is from now, in its largest unit: "2 minutes ago", "in 58 minutes". */
export function relative(when, now = Date.now()) {
  const seconds = Math.round((when - now) / 1000);
  const [unit, length] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS.at(-1);
  return RELATIVE.format(Math.trunc(seconds / length), unit);
}

function showTime(element) {
  const when = new Date(element.dateTime);
  if (Number.isNaN(when.valueOf())) return;
  element.title = NAMED.format(when);
  const text = "relative" in element.dataset ? relative(when) : ABSOLUTE.format(when);
  if (element.textContent !== text) element.textContent = text;
}

function addCopyButton(element) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "copy";
  button.textContent = "copy";
  button.setAttribute("aria-label", `Copy the id ${element.dataset.copy}`);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(element.dataset.copy);
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 2000);
  });
  (element.closest("a") ?? element).after(button); // a button inside a link would be part of the link
}

/** Dress what is in `root`: call it for whatever is put into a page later. */
export function dress(root) {
  root.querySelectorAll("time[datetime]").forEach(showTime);
  root.querySelectorAll("[data-zone]").forEach((element) => { element.textContent = ZONE; });
  // The clipboard is only there on https and on localhost.
  if (navigator.clipboard) root.querySelectorAll("[data-copy]").forEach(addCopyButton);
}

/** The search fields that Django's script puts into the page have no label. */
function labelSearches() {
  for (const field of document.querySelectorAll(".select2-search__field:not([aria-label])")) {
    field.setAttribute("aria-label", field.closest(".form-row")?.querySelector("label")?.textContent.trim() ?? "Search");
  }
}

dress(document);
addEventListener("load", () => setTimeout(labelSearches)); // after those of jQuery, which come later than they say
setInterval(() => {
  if (!document.hidden) document.querySelectorAll("time[data-relative]").forEach(showTime);
}, 1000);
