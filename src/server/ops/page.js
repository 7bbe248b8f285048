// Exchanges the tables for newer ones every few seconds, unless the reader says not to or looks elsewhere.
"use strict";

const EVERY_MS = 5000;
const place = document.getElementById("refresh");
const label = document.createElement("label");
const box = document.createElement("input");
const said = document.createElement("span");
box.type = "checkbox";
box.checked = true;
label.append(box, ` newer numbers every ${EVERY_MS / 1000} s`);
said.setAttribute("role", "status");
place.replaceChildren(label, " ", said);

async function refresh() {
  try {
    const answer = await fetch("/status", { headers: { Accept: "text/html" }, cache: "no-store" });
    if (!answer.ok) throw new Error(`it answers ${answer.status}`);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const main = document.querySelector("main");
    // What is scrolled sideways or has the focus stays where it is.
    const regions = (root) => [...root.querySelectorAll(".wide")];
    const offsets = regions(main).map((region) => region.scrollLeft);
    const focused = regions(main).indexOf(document.activeElement);
    main.replaceChildren(...page.querySelector("main").childNodes);
    regions(main).forEach((region, at) => { region.scrollLeft = offsets[at] ?? 0; });
    if (focused >= 0) regions(main)[focused]?.focus({ preventScroll: true });
    document.title = page.title;
    if (said.textContent) said.textContent = "";
  } catch (error) {
    const text = `No newer numbers: ${error.message}. These are old.`;
    if (said.textContent !== text) said.textContent = text;
  }
}

setInterval(() => { if (box.checked && !document.hidden) refresh(); }, EVERY_MS);
document.addEventListener("visibilitychange", () => { if (box.checked && !document.hidden) refresh(); });
