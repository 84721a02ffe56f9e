'use strict';
/* Sorts tables by their columns and filters rows. Without it a page shows all, in the order of the report. */

/* The first number of a text: "1.612 [1.568, 1.644]", "x1.05 to x1.59". NaN: there is none. */
function numberOf(text) {
  if (/^\s*inf/.test(text)) return Infinity;
  const found = /[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?/i.exec(text);
  return found ? parseFloat(found[0]) : NaN;
}

/* What is not known stands last, whatever the order. */
function compare(a, b, descending) {
  const unknown = (v) => typeof v === 'number' ? isNaN(v) : v === 'null' || v === '-' || v === '';
  if (unknown(a) || unknown(b)) return unknown(a) - unknown(b);
  const order = typeof a === 'number' ? a - b : a.localeCompare(b, 'en', {numeric: true});
  return descending ? -order : order;
}

function sort(table, header) {
  const descending = header.getAttribute('aria-sort') === 'ascending';
  const column = header.cellIndex, isNumber = header.classList.contains('n'), body = table.tBodies[0];
  const keyed = Array.from(body.rows, (row) => {
    const cell = row.cells[column], text = cell ? cell.textContent.trim() : '';
    return {row: row, value: isNumber ? numberOf(text) : text};
  });
  keyed.sort((a, b) => compare(a.value, b.value, descending));
  for (const other of header.parentNode.cells) other.removeAttribute('aria-sort');
  header.setAttribute('aria-sort', descending ? 'descending' : 'ascending');
  body.append(...keyed.map((k) => k.row));
}

function makeSortable(table) {
  if (!table.tHead || table.tBodies[0].rows.length < 4) return;
  for (const header of table.tHead.rows[0].cells) {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...header.childNodes);
    button.addEventListener('click', () => sort(table, header));
    header.append(button);
  }
}

/* The columns that a row is filtered by. Of kernels the header counts, too: "fastest RMSNorm" has rmsnorm in each of its rows. */
function keysOf(table) {
  return Array.from(table.tHead.rows[0].cells).filter((h) => h.dataset.key).map((h) =>
    ({key: h.dataset.key, column: h.cellIndex, words: h.dataset.key === 'kernel' ? h.textContent + ' ' : ''}));
}

function matches(row, keys, wanted) {
  const texts = {};
  for (const k of keys) texts[k.key] = (texts[k.key] || '') + ' ' + k.words + row.cells[k.column].textContent;
  return wanted.words.every((word) => (texts.kernel || '').toLowerCase().includes(word)) &&
    (!wanted.dtype || (texts.dtype || '').trim() === wanted.dtype) &&
    (!wanted.residency || (texts.residency || '').trim() === wanted.residency);
}

function filter(form, tables) {
  const field = (name) => form.elements.namedItem(name).value;
  const wanted = {words: field('kernel').toLowerCase().split(/\s+/).filter(Boolean), dtype: field('dtype'), residency: field('residency')};
  let shown = 0, all = 0;
  for (const table of tables) {
    const keys = keysOf(table);
    for (const row of table.tBodies[0].rows) {
      row.hidden = !matches(row, keys, wanted);
      shown += !row.hidden;
      all++;
    }
  }
  form.querySelector('output').textContent = shown + ' of ' + all + ' rows';
}

function makeFilter(form) {
  const tables = Array.from(form.parentNode.querySelectorAll('table'));
  form.hidden = false;
  form.addEventListener('input', () => filter(form, tables));
  form.addEventListener('submit', (event) => event.preventDefault());
  filter(form, tables);
}

document.querySelectorAll('table').forEach(makeSortable);
document.querySelectorAll('form.filter').forEach(makeFilter);
