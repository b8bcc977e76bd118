// One part of the page at a time, light and dark, sorting and filtering; without it everything is there, one below the other.
"use strict";
const views = [...document.querySelectorAll(".view")];
const links = [...document.querySelectorAll("nav a")];
const title = document.title;
let seen = null, started = false;
const asked = () => document.getElementById(decodeURIComponent(location.hash.slice(1)));
const show = (view) => {
  for (const other of views) other.hidden = other === view ? false : "until-found";  // still found by the browser's search
  const own = links.find((link) => link.hash === "#" + view.id) ?? links.find((link) => link.hash === "#" + view.dataset.within);
  for (const link of links) link.removeAttribute("aria-current");
  for (const item of document.querySelectorAll("nav > ul > li")) item.classList.toggle("closed", !item.contains(own));
  own.setAttribute("aria-current", "page");
  own.scrollIntoView({ block: "nearest", inline: "nearest", behavior: "instant" });
  document.title = view === views[0] ? title : `${view.querySelector("h2").textContent} · ${title}`;
};
const go = () => {
  const target = asked() ?? views[0];
  const view = target.closest(".view");
  if (!view) return;  // the skip link: to the part that is shown
  const other = started && view !== seen;
  show(view);
  [seen, started] = [view, true];
  for (let at = target; at !== view; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
  target === view ? scrollTo({ top: 0, behavior: "instant" }) : target.scrollIntoView();
  if (other) {  // who listens hears where they are
    const head = view.querySelector("h2");
    head.tabIndex = -1;
    head.focus({ preventScroll: true });
  }
};
for (const view of views) view.addEventListener("beforematch", () => {  // found by the browser's search, or about to be gone to
  show(view);
  seen = null;
  if (!view.contains(asked())) history.replaceState(null, "", "#" + view.id);
});
addEventListener("hashchange", go);
go();

const root = document.documentElement, theme = document.getElementById("theme");
const dark = () => root.style.colorScheme ? root.style.colorScheme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
const paint = (scheme) => {
  if (scheme) root.style.colorScheme = scheme;
  theme.textContent = dark() ? "Light theme" : "Dark theme";
};
const kept = (scheme) => {  // some browsers keep nothing for a file
  try { return scheme ? localStorage.setItem("theme", scheme) : localStorage.getItem("theme"); } catch { return null; }
};
theme.hidden = false;
theme.addEventListener("click", () => { const next = dark() ? "light" : "dark"; paint(next); kept(next); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => paint());
paint(["light", "dark"].find((scheme) => scheme === kept()));

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, i) => {  // numbers whose text says all of them have no data-v
    const cell = row.cells[i], shown = cell.dataset.v ?? cell.textContent.trim();
    return cell.classList.contains("n") && shown !== "" && !isNaN(shown) ? Number(shown) : shown;
  };
  heads.forEach((head, i) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      // Numbers begin with the largest, words and ranks with the first.
      const first = head.classList.contains("n") && !/rank|^p$/.test(head.textContent) ? "descending" : "ascending";
      const now = head.getAttribute("aria-sort");
      const next = now === "none" ? first : now === "ascending" ? "descending" : "ascending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", next);
      const sign = next === "ascending" ? 1 : -1;
      for (const body of table.tBodies) {  // references stay apart
        const rows = [...body.rows].filter((row) => !row.classList.contains("group"));
        rows.sort((a, b) => {
          const x = value(a, i), y = value(b, i);
          if (x === "" || y === "") return (x === "") - (y === "");  // empty cells last, whichever way
          if (typeof x === "number" && typeof y === "number") return sign * (x - y);
          return sign * String(x).localeCompare(String(y), "en", { numeric: true });
        });
        body.append(...rows);
      }
    });
  });
}
for (const form of document.querySelectorAll("form.filter")) {
  const table = document.getElementById(form.dataset.for);
  const [word, family, told] = [form.querySelector("input"), form.querySelector("select"), form.querySelector("output")];
  const rows = [...table.tBodies].flatMap((body) => [...body.rows]).filter((row) => !row.classList.contains("group"));
  const apply = () => {
    const asked = word.value.trim().toLowerCase(), kind = family ? family.value : "";
    let shown = 0;
    for (const row of rows) {
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(asked) || (kind !== "" && row.dataset.f !== kind);
      shown += !row.hidden;
    }
    told.textContent = asked || kind ? `${shown} of ${rows.length} rows` : "";
  };
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", apply);
}
