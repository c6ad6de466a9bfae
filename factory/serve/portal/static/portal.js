"use strict";

// What pages do beyond links and forms; without it every page still works, and is renewed by loading it again.

const root = document.documentElement;
const chosen = localStorage.getItem("theme");
if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-theme-toggle]")) return;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.confirm && !confirm(form.dataset.confirm)) {
    event.preventDefault();
    return;
  }
  // A second click sends nothing; the button that was pressed must still be part of the form.
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "yes";
});

// Coming back to a page must not find its forms spent.
addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));

async function renew(region) {
  const answer = await fetch(region.dataset.refresh, { headers: { Accept: "text/html" } });
  if (!answer.ok) return;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const focused = document.activeElement && region.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  region.replaceChildren(...page.body.childNodes);
  if (focused) region.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
}

// Many events at once are one renewal.
for (const region of document.querySelectorAll("[data-live]")) {
  let waiting = false;
  const source = new EventSource(region.dataset.live);
  source.onmessage = () => {
    if (waiting) return;
    waiting = true;
    setTimeout(() => {
      waiting = false;
      renew(region);
    }, 200);
  };
  source.addEventListener("project-ended", () => {
    source.close();
    renew(region);
  });
}
