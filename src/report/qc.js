// Goes through cases: one picture at a time, marks by keys, the marks as a table.
const cases = JSON.parse(document.getElementById('cases').textContent);
const place = 'calvaria-qc ' + location.pathname;
const byId = id => document.getElementById(id);
let marks = {}, at = 0;
try { marks = JSON.parse(localStorage.getItem(place)) || {}; } catch { /* Marks then last as long as the page. */ }

function show(next) {
  at = Math.max(0, Math.min(cases.length - 1, next));
  const one = cases[at];
  byId('picture').src = one.picture;
  byId('picture').alt = one.scan;
  byId('scan').textContent = one.scan;
  byId('facts').textContent = one.facts;
  byId('remarks').textContent = one.remarks;
  byId('mark').textContent = marks[one.result] || 'not marked';
  byId('mark').className = marks[one.result] || '';
  const marked = cases.filter(of => marks[of.result]).length;
  byId('progress').textContent = `${at + 1} of ${cases.length}; ${marked} marked`;
  document.querySelectorAll('#list button').forEach((button, index) => {
    button.setAttribute('aria-current', index === at);
    button.className = marks[cases[index].result] || '';
  });
  document.querySelectorAll('#list button')[at].scrollIntoView({ block: 'nearest' });
  // The next one is ready when it is asked for.
  if (at + 1 < cases.length) new Image().src = cases[at + 1].picture;
}

function mark(value) {
  if (value) marks[cases[at].result] = value; else delete marks[cases[at].result];
  try { localStorage.setItem(place, JSON.stringify(marks)); } catch { /* As above. */ }
  show(value ? at + 1 : at);
}

function unmarked() {
  const rest = [...cases.keys()].map(step => (at + 1 + step) % cases.length);
  const next = rest.find(index => !marks[cases[index].result]);
  if (next !== undefined) show(next);
}

function table() {
  const cell = text => /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const rows = cases.map(one => [one.scan, one.result, String(one.doubt), marks[one.result] || '']);
  return [['scan', 'result', 'doubt', 'mark'], ...rows].map(row => row.map(cell).join(',')).join('\n') + '\n';
}

function save() {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([table()], { type: 'text/csv' }));
  link.download = 'calvaria-marks.csv';
  link.click();
  URL.revokeObjectURL(link.href);
}

const keys = {
  ArrowRight: () => show(at + 1), j: () => show(at + 1), ArrowLeft: () => show(at - 1), k: () => show(at - 1),
  g: () => mark('good'), b: () => mark('bad'), u: () => mark(''), n: unmarked, s: save,
};
document.addEventListener('keydown', event => {
  if (!event.ctrlKey && !event.metaKey && !event.altKey && keys[event.key]) {
    event.preventDefault();
    keys[event.key]();
  }
});
document.querySelectorAll('[data-key]').forEach(button => button.addEventListener('click', () => keys[button.dataset.key]()));
document.querySelectorAll('#list button').forEach((button, index) => button.addEventListener('click', () => show(index)));
show(0);
