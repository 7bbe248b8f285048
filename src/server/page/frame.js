// One render for each frame. Messages only mark parts as changed; here, and nowhere else, the document is written.
// Nothing in a draw function may read layout: sizes come from ResizeObserver.

const parts = [];
let asked = false;
let timer = 0;

// Registers `draw`, called at most once in `everyMs`; gives the function that marks it.
export function part(draw, everyMs = 0) {
  const it = { draw, everyMs, drawnAt: -Infinity, changed: false };
  parts.push(it);
  return () => {
    it.changed = true;
    ask();
  };
}

function ask() {
  if (asked || document.hidden) return;
  asked = true;
  clearTimeout(timer);
  requestAnimationFrame(render);
}

function render(now) {
  asked = false;
  let soonest = Infinity;
  for (const it of parts) {
    if (!it.changed) continue;
    const due = it.drawnAt + it.everyMs;
    // A frame is as good as the next one: half of it early saves a part from waiting for another.
    if (due > now + 8) {
      soonest = Math.min(soonest, due - now);
      continue;
    }
    it.changed = false;
    it.drawnAt = now;
    try {
      it.draw(now);
    } catch (error) {
      // One broken part leaves the others alone.
      reportError(error);
    }
  }
  if (soonest < Infinity && !asked) timer = setTimeout(ask, soonest);
}

document.addEventListener("visibilitychange", ask);
addEventListener("visibilitychange", () => !document.hidden && parts.some((it) => it.changed) && ask());

// Writes a text node only where it differs: what is equal costs nothing.
export function write(element, text) {
  if (element.shown === text) return;
  element.shown = text;
  const node = element.firstChild;
  if (node && node.nodeType === Node.TEXT_NODE) node.data = text;
  else element.textContent = text;
}

// The same for an attribute.
export function mark(element, name, value) {
  const key = `shown ${name}`;
  if (element[key] === value) return;
  element[key] = value;
  element.setAttribute(name, value);
}
