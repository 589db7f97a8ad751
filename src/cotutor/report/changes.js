"use strict";
// Tables of contexts to search and to sort. Text of others goes into the page by textContent only.
{
const PAGE = 12;
const changes = JSON.parse(document.getElementById("changes-data").textContent);
const signed = (value) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(2)}`;
const best = (row, column) => row.options.reduce((top, option) => (option[column] > top[column] ? option : top));

// How the two tables differ: the colours of before and after, the evidence per option, and what is counted.
const TABLES = {
  advice: {
    bars: ["before", "after"],
    evidence: [["Visits", (value) => value.toFixed(1)], ["Advantage", signed]],
    times: (row) => String(row.times),
  },
  choice: {
    bars: ["free", "acted"],
    evidence: [["Advised", percent]],
    times: (row) => `${row.times} of ${row.visits}`,
  },
};

// What a column shows and sorts by. An option is [phrase, before, after, evidence].
const COLUMNS = {
  context: { value: (row) => row.context },
  before: { value: (row) => best(row, 1)[0], share: (row) => best(row, 1)[1] },
  after: { value: (row) => best(row, 2)[0], share: (row) => best(row, 2)[2] },
  moved: { value: (row) => row.moved, text: (row) => percent(row.moved) },
  visits: { value: (row) => row.visits, text: (row) => row.visits.toFixed(1) },
  trust: { value: (row) => row.trust, text: (row) => row.trust.toFixed(2) },
  times: { value: (row) => row.times, text: (row, table) => table.times(row) },
};

function detail(row, table, columns) {
  const heads = ["Option", "", "Before", "After", ...table.evidence.map(([label]) => label)];
  const head = node("tr", {}, ...heads.map((label, i) => node("th", i === 1 ? { class: "wide" } : {}, label)));
  const body = row.options.map(([phrase, before, after, evidence]) => node(
    "tr", {},
    node("th", { scope: "row" }, phrase),
    node("td", { class: "wide" },
      node("span", { class: "bars" }, bar(before, table.bars[0]), bar(after, table.bars[1]))),
    node("td", {}, percent(before)),
    node("td", {}, percent(after)),
    ...table.evidence.map(([, text], i) => (evidence[i] === null
      ? node("td", { "aria-label": "not measured" }, "–") : node("td", {}, text(evidence[i])))),
  ));
  const cell = node("td", { colspan: columns }, node("table", {}, node("thead", {}, head), node("tbody", {}, ...body)));
  if (row.where !== null) {
    const watch = node("button", { type: "button", class: "watch" }, "Watch the first such step");
    watch.addEventListener("click", () => { location.hash = `replay=${row.where[0]}&step=${row.where[1]}`; });
    cell.append(watch);
  }
  return node("tr", { class: "detail" }, cell);
}

function entry(row, table, columns) {
  const open = node("button", { type: "button", class: "open", "aria-expanded": "false" }, row.context);
  const cells = columns.slice(1).map(([name, label]) => {
    const { value, share, text } = COLUMNS[name];
    const cell = node("td", { "data-label": label, class: share ? "phrase" : "number" });
    if (share) cell.append(value(row), " ", node("small", {}, percent(share(row))));
    else cell.append(text(row, table));
    return cell;
  });
  const line = node("tr", { class: "row" }, node("th", { scope: "row" }, open), ...cells);
  const group = node("tbody", {}, line);
  open.addEventListener("click", () => {
    const shown = open.getAttribute("aria-expanded") === "true";
    open.setAttribute("aria-expanded", String(!shown));
    if (shown) group.lastChild.remove();
    else group.append(detail(row, table, columns.length));
  });
  return group;
}

function start(name, table) {
  const part = document.getElementById(`changes-${name}`);
  if (part === null) return;
  const rows = changes[name];
  const grid = part.querySelector("table");
  const search = part.querySelector("input");
  const more = part.querySelector(".contexts-more");
  const buttons = [...grid.querySelectorAll("thead button")];
  const columns = buttons.map((button) => [button.dataset.column, button.textContent]);
  let found = rows;
  let shown = 0;

  function extend(count) {
    grid.append(...found.slice(shown, shown + count).map((row) => entry(row, table, columns)));
    shown = Math.min(found.length, shown + count);
    more.hidden = shown === found.length;
    const all = found.length === rows.length ? "" : ` of ${rows.length.toLocaleString("en")}`;
    part.querySelector("output").textContent = `${found.length.toLocaleString("en")}${all} contexts`;
  }

  function update() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    found = rows.filter((row) => {
      const text = [row.context, ...row.options.map(([phrase]) => phrase)].join(" ").toLowerCase();
      return words.every((word) => text.includes(word));
    });
    const sorted = buttons.find((button) => button.parentElement.ariaSort !== "none");
    if (sorted !== undefined) {
      const { value } = COLUMNS[sorted.dataset.column];
      const sign = sorted.parentElement.ariaSort === "ascending" ? 1 : -1;
      const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b);
      found.sort((a, b) => sign * compare(value(a), value(b)));
    }
    for (const group of [...grid.tBodies]) group.remove();
    shown = 0;
    extend(PAGE);
  }

  for (const button of buttons) {
    button.addEventListener("click", () => {
      const { ariaSort } = button.parentElement;
      const first = typeof COLUMNS[button.dataset.column].value(rows[0]) === "string" ? "ascending" : "descending";
      const other = first === "ascending" ? "descending" : "ascending";
      for (const each of buttons) each.parentElement.ariaSort = "none";
      button.parentElement.ariaSort = { none: first, [first]: other, [other]: "none" }[ariaSort];
      update();
    });
    if (!COLUMNS[button.dataset.column].share && button.dataset.column !== "context") {
      button.parentElement.classList.add("number");
    }
  }
  search.addEventListener("input", update);
  more.addEventListener("click", () => extend(4 * PAGE));
  update();
}

for (const [name, table] of Object.entries(TABLES)) start(name, table);
}
