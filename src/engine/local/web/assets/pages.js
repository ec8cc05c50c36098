// Keeps an open page up to date and shows times in the reader's own zone. The pages work without it.

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

function showLocalTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const moment = new Date(time.dateTime);
    const today = moment.toDateString() === new Date().toDateString();
    time.textContent = (time.hasAttribute("data-full") ? full : today ? clock : day).format(moment);
    time.title = moment.toISOString();
  }
}

function replace(old, fresh) {
  const focused = old.contains(document.activeElement) ? document.activeElement.id : "";
  const open = [...old.querySelectorAll("details[open]")].map((details) => details.id);
  const known = new Set([...old.querySelectorAll(".row")].map((row) => row.id));
  for (const row of fresh.querySelectorAll(".row")) row.classList.toggle("row-new", known.size > 0 && !known.has(row.id));
  for (const id of open) fresh.querySelector(`[id="${id}"]`)?.setAttribute("open", "");
  old.replaceWith(fresh);
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
}

async function refresh() {
  const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  showLocalTimes(page);
  document.title = page.title;
  for (const old of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(old.id);
    if (fresh && fresh.innerHTML !== old.innerHTML) replace(old, document.adoptNode(fresh));
  }
}

let refreshing = null;
let again = false;

function refreshSoon() {
  if (refreshing) {
    again = true;
    return;
  }
  refreshing = refresh()
    .catch(() => {})
    .finally(() => {
      refreshing = null;
      if (again) {
        again = false;
        refreshSoon();
      }
    });
}

function moveBetweenRows(step) {
  const rows = [...document.querySelectorAll(".row")];
  const position = rows.indexOf(document.activeElement);
  rows[Math.min(Math.max(position + step, 0), rows.length - 1)]?.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.matches("input:not([type=radio]), textarea");
  if (event.key === "Escape" && typing) event.target.blur();
  if (typing) return;
  if (event.key === "/") {
    event.preventDefault();
    document.querySelector(".search input")?.focus();
  }
  if (event.key === "j" || event.key === "k") moveBetweenRows(event.key === "j" ? 1 : -1);
});

showLocalTimes(document);
const changes = new EventSource(`${document.documentElement.dataset.base}/_changes`);
changes.onmessage = refreshSoon;
// After a lost connection something may have happened meanwhile.
changes.onopen = refreshSoon;
addEventListener("pagehide", () => changes.close());
