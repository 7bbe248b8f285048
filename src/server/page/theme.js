// Runs before anything is drawn, so that no page flashes in the other theme. What the toggle chose outlives the visit.
"use strict";
try {
  const kept = localStorage.getItem("tickcast.theme");
  if (kept === "dark" || kept === "light") document.documentElement.dataset.theme = kept;
} catch {
  // No storage, no memory: the system's choice holds.
}
