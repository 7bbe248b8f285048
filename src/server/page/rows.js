// Rows of three cells, made once and written anew: as many as there is room for.

export function fill(table, rows, count) {
  while (rows.length > count) rows.pop().element.remove();
  while (rows.length < count) {
    const element = document.createElement("div");
    element.className = "row";
    element.setAttribute("role", "row");
    // A text node from the beginning: later writes change it and nothing else.
    const cells = Array.from({ length: 3 }, () => {
      const cell = document.createElement("span");
      cell.setAttribute("role", "cell");
      cell.append("");
      return cell;
    });
    element.append(...cells);
    table.append(element);
    rows.push({ element, cells });
  }
}
