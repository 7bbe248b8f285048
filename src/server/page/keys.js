// Everything by keyboard. A key means nothing while text is being written or the help is open.

export function keys(actions) {
  const dialog = document.getElementById("dialog");
  const search = document.getElementById("search");
  const help = () => (dialog.open ? dialog.close() : dialog.showModal());
  document.getElementById("help").addEventListener("click", help);
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target === search) {
      if (event.key === "Escape") actions.endSearch();
      else if (event.key === "Enter") actions.choose(0), actions.endSearch();
      else if (event.key === "ArrowDown") actions.choose(1);
      else if (event.key === "ArrowUp") actions.choose(-1);
      else return;
      event.preventDefault();
      return;
    }
    if (dialog.open || event.target.closest("select, input, textarea")) return;
    const isList = event.target.id === "list";
    const action = {
      ArrowDown: () => actions.choose(1),
      j: () => actions.choose(1),
      ArrowUp: () => actions.choose(-1),
      k: () => actions.choose(-1),
      Home: () => isList && actions.choose(-Infinity),
      End: () => isList && actions.choose(Infinity),
      "+": () => actions.zoom(1),
      "=": () => actions.zoom(1),
      "-": () => actions.zoom(-1),
      g: actions.step,
      t: actions.theme,
      "/": () => search.focus(),
      "?": help,
    }[event.key];
    if (action) action();
    else if (/^[1-9]$/.test(event.key)) actions.interval(Number(event.key) - 1);
    else return;
    event.preventDefault();
  });
}
