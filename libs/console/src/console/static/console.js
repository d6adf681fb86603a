// Keys, the theme, the list of keys. Pages and acts work without it; htmx only saves the flash between pages.
"use strict";

const dark = matchMedia("(prefers-color-scheme: dark)");
let waitsForPage = false;

function toggleTheme() {
  const root = document.documentElement.dataset;
  root.theme = (root.theme ?? (dark.matches ? "dark" : "light")) === "dark" ? "light" : "dark";
  localStorage.setItem("theme", root.theme);
}

function moveBetweenRows(step) {
  const links = [...document.querySelectorAll(".rows tbody tr")].map((row) => row.querySelector("a")).filter(Boolean);
  const at = links.indexOf(document.activeElement?.closest("tr")?.querySelector("a"));
  links[Math.min(links.length - 1, Math.max(0, at + step))]?.focus();
}

const keys = {
  "?": () => document.getElementById("help").showModal(),
  "/": () => (document.querySelector("[data-search]") ?? document.querySelector("form[role=search] select"))?.focus(),
  "\\": toggleTheme,
  j: () => moveBetweenRows(1),
  k: () => moveBetweenRows(-1),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, textarea, select, dialog")) return;
  const page = waitsForPage && document.querySelector(`nav [data-key="${CSS.escape(event.key)}"]`);
  waitsForPage = event.key === "g";
  const act = page ? () => page.click() : keys[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-theme-toggle]")) toggleTheme();
  if (event.target.closest("[data-help]")) keys["?"]();
});
