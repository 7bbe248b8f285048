// One render for each frame. Messages only mark parts as changed; here, and nowhere else, the document is written.
// Nothing in a draw function may read layout: sizes come from ResizeObserver.

// A part that is due this soon is drawn along with the others: few frames with much in them are calmer than many with little.
const EARLY_MS = 40;

const parts = [];
let isAsked = false;
let timer = 0;

// Registers `draw`, called at most once in `everyMs`; gives the function that marks it, and `mark.now` for what somebody's
// hand moves, which does not wait.
export function part(draw, everyMs = 0) {
  const it = { draw, everyMs, drawnAt: -Infinity, isChanged: false };
  parts.push(it);
  const mark = () => {
    it.isChanged = true;
    ask();
  };
  mark.now = () => {
    it.drawnAt = -Infinity;
    mark();
  };
  return mark;
}

// Asks for a frame if some part is due, and else waits until one is. A hidden page draws nothing.
function ask() {
  if (isAsked || document.hidden) return;
  const now = performance.now();
  let soonestMs = Infinity;
  for (const it of parts) {
    if (it.isChanged) soonestMs = Math.min(soonestMs, it.drawnAt + it.everyMs - now);
  }
  clearTimeout(timer);
  if (soonestMs <= 0) {
    isAsked = true;
    requestAnimationFrame(render);
  } else if (soonestMs < Infinity) timer = setTimeout(ask, soonestMs);
}

function render(now) {
  isAsked = false;
  for (const it of parts) {
    if (!it.isChanged || it.drawnAt + it.everyMs > now + EARLY_MS) continue;
    it.isChanged = false;
    it.drawnAt = now;
    try {
      it.draw(now);
    } catch (error) {
      // One broken part leaves the others alone.
      reportError(error);
    }
  }
  ask();
}

document.addEventListener("visibilitychange", ask);

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
