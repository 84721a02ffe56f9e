/* What a page looks like to those who see little or nothing of it: functions for page_browser_test.sh. Each lists what is wrong. */

function channels(color) {
  const v = color.match(/[\d.]+/g).map(Number);
  return {rgb: v.slice(0, 3), alpha: v.length > 3 ? v[3] : 1};
}

/* Relative luminance and contrast: WCAG 2.2. */
function luminance(rgb) {
  const [r, g, b] = rgb.map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a, b) {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
}

function background(element) {
  for (let e = element; e; e = e.parentElement) {
    const c = channels(getComputedStyle(e).backgroundColor);
    if (c.alpha === 1) return c.rgb;
  }
  return [255, 255, 255];
}

/* Elements that hold text which is seen. */
function texts() {
  const found = new Set(), walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || e.closest('script, style, title, desc, .skip, .unseen')) continue;
    if (e.checkVisibility({opacityProperty: true, visibilityProperty: true})) found.add(e);
  }
  document.querySelectorAll('input, select').forEach((e) => e.checkVisibility() && found.add(e));
  return [...found];
}

function lowContrast() {
  return texts().filter((e) => {
    const style = getComputedStyle(e), color = e.closest('svg') ? style.fill : style.color;
    return contrast(channels(color).rgb, background(e)) < 4.5;
  }).slice(0, 5).map((e) => e.outerHTML.slice(0, 80));
}

function unlabelled() {
  return [...document.querySelectorAll('input, select, button, summary, a')].filter((e) =>
    !(e.labels && [...e.labels].some((l) => l.textContent.trim())) && !e.getAttribute('aria-label') &&
    !((e.localName === 'button' || e.localName === 'summary' || e.localName === 'a') && e.textContent.trim()))
    .map((e) => e.outerHTML.slice(0, 80));
}

function skippedHeadings() {
  const levels = [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map((h) => Number(h.localName[1]));
  const wrong = levels.filter((l, i) => i > 0 && l > levels[i - 1] + 1);
  return levels[0] === 1 && levels.filter((l) => l === 1).length === 1 ? wrong : ['h1'];
}

function unscoped() {
  return [...document.querySelectorAll('th')].filter((h) => !h.scope || !h.textContent.trim()).map((h) => h.outerHTML.slice(0, 80))
    .concat([...document.querySelectorAll('table')].filter((t) => !t.tHead).map((t) => t.outerHTML.slice(0, 80)));
}

function untitledPictures() {
  return [...document.querySelectorAll('svg')].filter((s) => s.getAttribute('aria-hidden') !== 'true' &&
    !(s.getAttribute('role') === 'img' && s.querySelector(':scope > title') && s.querySelector(':scope > desc')))
    .map((s) => s.outerHTML.slice(0, 80));
}

function brokenIds() {
  const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
  return ids.filter((id, i) => ids.indexOf(id) !== i)
    .concat([...document.querySelectorAll('a[href^="#"]')].map((a) => a.getAttribute('href').slice(1)).filter((id) => !ids.includes(id)))
    .concat([...document.querySelectorAll('[aria-labelledby]')].map((e) => e.getAttribute('aria-labelledby')).filter((id) => !ids.includes(id)));
}
