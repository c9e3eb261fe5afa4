// Sorts a table by the column whose name is pressed: numbers as numbers, other texts last.
for (const table of document.querySelectorAll('.wide table')) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement('button');
    button.append(...head.childNodes);
    head.append(button);
    button.onclick = () => {
      const down = head.getAttribute('aria-sort') === 'ascending';
      heads.forEach(other => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const text = row => row.cells[column].textContent;
      const number = row => text(row) === 'inf' ? Infinity : parseFloat(text(row));
      const rows = [...table.tBodies[0].rows];
      const words = column === 0 || rows.every(row => isNaN(number(row)));
      rows.sort((a, b) => {
        const [x, y] = down ? [b, a] : [a, b];
        if (words) return text(x).localeCompare(text(y), undefined, { numeric: true });
        if (isNaN(number(a)) || isNaN(number(b))) return isNaN(number(a)) - isNaN(number(b));
        return number(x) === number(y) ? 0 : number(x) - number(y);
      });
      table.tBodies[0].append(...rows);
    };
  });
}
