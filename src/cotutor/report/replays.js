"use strict";
// Episodes to step through. Text of others goes into the page by textContent only.
{
const replays = JSON.parse(document.getElementById("replay-data").textContent);
const at = (name) => document.getElementById(`replay-${name}`);
const SVG = "http://www.w3.org/2000/svg";
const COLOURS = {
  red: "#ff0000", green: "#00ff00", blue: "#0000ff", purple: "#7027c3", yellow: "#ffff00", grey: "#646464",
};
const FACES = ["right", "down", "left", "up"];
const PAUSE = 350;
let episode = 0;
let step = 1;
let timer = null;

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

const box = (low, high, fill) => shape("rect", { x: low, y: low, width: high - low, height: high - low, fill });
const rect = (left, right, top, bottom, fill) =>
  shape("rect", { x: left, y: top, width: right - left, height: bottom - top, fill });
const circle = (cx, cy, r, fill) => shape("circle", { cx, cy, r, fill });

// What MiniGrid draws in a cell of size 1.
const ITEMS = {
  wall: (colour) => [box(0, 1, colour)],
  goal: (colour) => [box(0, 1, colour)],
  floor: (colour) => [shape("rect", { x: 0.031, y: 0.031, width: 0.969, height: 0.969, fill: colour, opacity: 0.5 })],
  lava: () => [
    box(0, 1, "#ff8000"),
    ...[0.3, 0.5, 0.7].map((y) => shape("path", {
      d: `M.1 ${y} .3 ${y + 0.1} .5 ${y} .7 ${y + 0.1} .9 ${y}`, fill: "none", stroke: "#000", "stroke-width": 0.06,
    })),
  ],
  ball: (colour) => [circle(0.5, 0.5, 0.31, colour)],
  box: (colour) => [box(0.12, 0.88, colour), box(0.18, 0.82, "#000"), rect(0.16, 0.84, 0.47, 0.53, colour)],
  key: (colour) => [
    rect(0.5, 0.63, 0.31, 0.88, colour), rect(0.38, 0.5, 0.59, 0.66, colour), rect(0.38, 0.5, 0.81, 0.88, colour),
    circle(0.56, 0.28, 0.19, colour), circle(0.56, 0.28, 0.064, "#000"),
  ],
  door: (colour, state) => {
    if (state === "open") return [rect(0.88, 1, 0, 1, colour), rect(0.92, 0.96, 0.04, 0.96, "#000")];
    if (state === "locked") {
      const dim = shape("rect", { x: 0.06, y: 0.06, width: 0.88, height: 0.88, fill: "#000", opacity: 0.55 });
      return [box(0, 1, colour), dim, rect(0.52, 0.75, 0.5, 0.56, colour)];
    }
    const frames = [[0, 1, colour], [0.04, 0.96, "#000"], [0.08, 0.92, colour], [0.12, 0.88, "#000"]];
    return [...frames.map((frame) => box(...frame)), circle(0.75, 0.5, 0.08, colour)];
  },
};

function drawn(item) {
  const [type, colour, state] = item.split(" ");
  const paint = ITEMS[type] ?? ITEMS.box;
  return paint(COLOURS[colour] ?? COLOURS.grey, state);
}

// Cells change from view to view: returns those of the view numbered `index`, from 0.
function cellsAt(replay, index) {
  const cells = [...replay.grid.cells];
  for (const view of replay.views.slice(0, index + 1)) {
    for (const [place, number] of view.changes) cells[place] = number;
  }
  return cells;
}

function scene(replay, index) {
  const { width, height } = replay.grid;
  const { agent: [x, y, direction], seen, carried } = replay.views[index];
  const held = replay.items[carried];
  const picture = shape("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
  const label = `Grid of ${width} by ${height} cells. The agent is in column ${x + 1}, row ${y + 1}, and faces `
    + `${FACES[direction]}.${held === null ? "" : ` It carries: ${held}.`}`;
  picture.setAttribute("aria-label", label);
  picture.append(box(0, Math.max(width, height), "#000"));
  const lines = [];
  for (let column = 0; column < width; column += 1) lines.push(`M${column + 0.0155} 0V${height}`);
  for (let row = 0; row < height; row += 1) lines.push(`M0 ${row + 0.0155}H${width}`);
  picture.append(shape("path", { d: lines.join(""), stroke: COLOURS.grey, "stroke-width": 0.031 }));
  cellsAt(replay, index).forEach((number, place) => {
    const item = replay.items[number];
    if (item === null) return;
    const cell = shape("g", { transform: `translate(${place % width} ${Math.floor(place / width)})` });
    cell.dataset.item = item;
    cell.append(...drawn(item));
    picture.append(cell);
  });
  picture.append(shape("path", {
    d: "M.12 .19 .87 .5 .12 .81Z", fill: COLOURS.red, class: "agent",
    transform: `translate(${x} ${y}) rotate(${90 * direction} .5 .5)`,
  }));
  const light = seen.map((place) => `M${place % width} ${Math.floor(place / width)}h1v1h-1z`).join("");
  picture.append(shape("path", { d: light, fill: "#fff", opacity: 0.3, class: "seen" }));
  return picture;
}

function show(replay, index) {
  const view = replay.views[index];
  at("view").replaceChildren(replay.grid === null ? node("pre", {}, view) : scene(replay, index));
  at("carried").replaceChildren();
  const held = replay.grid === null ? null : replay.items[view.carried];
  if (held !== null) {
    const icon = shape("svg", { viewBox: "0 0 1 1", "aria-hidden": "true" });
    icon.append(...drawn(held));
    const [type, colour] = held.split(" ");
    at("carried").append(icon, `carries the ${colour} ${type}`);
  }
}

const sum = (values) => values.reduce((total, value) => total + value, 0);
const best = (values) => values.indexOf(Math.max(...values));
const swayed = (now) => now.free !== null && best(now.free) !== best(now.acted);

// A row per option and one for what was not offered; a column per voice. Returns {label, shares, taken} each.
function voices(replay, now) {
  const { options } = replay.questions[now.question];
  const offered = options.map(([, action]) => action);
  const others = replay.actions.map((_, action) => action).filter((action) => !offered.includes(action));
  const teacher = now.trust === null ? [] : [["own", now.own], ["revised", now.revised]];
  const student = now.trust === null ? [["acted", now.acted]] : [["free", now.free], ["acted", now.acted]];
  const rows = options.map(([phrase, action], number) => ({
    label: phrase,
    taken: action === now.action,
    shares: [
      ...teacher.map(([voice, shares]) => [voice, shares === null ? null : shares[number]]),
      ...student.map(([voice, shares]) => [voice, shares[action]]),
    ],
  }));
  if (others.length > 0) {
    const taken = others.includes(now.action);
    rows.push({
      label: taken ? `${replay.actions[now.action]} (not offered)` : "not offered",
      taken,
      shares: [
        ...teacher.map(([voice]) => [voice, null]),
        ...student.map(([voice, shares]) => [voice, sum(others.map((action) => shares[action]))]),
      ],
    });
  }
  return rows;
}

function tabulate(rows) {
  const columns = rows[0].shares.map((_, column) => best(rows.map((row) => row.shares[column][1] ?? -1)));
  return rows.map((row, number) => {
    const line = node("tr", row.taken ? { class: "taken" } : {});
    const head = node("th", { scope: "row" }, row.label);
    if (row.taken) head.append(node("span", { class: "badge" }, "taken"));
    line.append(head, ...row.shares.map(([voice, share], column) => {
      if (share === null) return node("td", {}, "–");
      const most = columns[column] === number ? { class: "most" } : {};
      return node("td", most, percent(share), bar(share, voice));
    }));
    return line;
  });
}

function talk(replay, now) {
  const { told, context } = replay.questions[now.question];
  at("context").textContent = context;
  at("told").textContent = told === context ? "" : `Before the teacher put the mission into its own words: ${told}`;
  at("voices").hidden = false;
  at("voices").tBodies[0].replaceChildren(...tabulate(voices(replay, now)));
  const said = [];
  if (now.trust !== null) {
    at("trust").hidden = false;
    at("trust").querySelector(".bar").style.width = `${100 * now.trust}%`;
    at("trust").querySelector("b").textContent = now.trust.toFixed(2);
    if (now.own === null) said.push("The teacher was never asked about this context: it has earned no trust.");
    if (swayed(now)) said.push("The advice changed the most probable action.");
  }
  if (now.reward !== 0) said.push(`Reward ${now.reward.toFixed(2)}.`);
  at("outcome").textContent = said.join(" ");
}

function finish(replay) {
  const count = replay.steps.length;
  const total = sum(replay.steps.map((now) => now.reward));
  at("context").textContent = `${replay.success ? "Mission accomplished" : "Mission not accomplished"} after ${count} `
    + `${count === 1 ? "step" : "steps"}, with a return of ${total.toFixed(2)}.`;
  at("told").textContent = at("outcome").textContent = "";
  at("voices").hidden = true;
  if (at("trust") !== null) at("trust").hidden = true;
}

function render() {
  const replay = replays[episode];
  const count = replay.steps.length;
  show(replay, step - 1);
  if (step <= count) talk(replay, replay.steps[step - 1]);
  else finish(replay);
  at("episode").value = String(episode);
  at("step").max = String(count + 1);
  at("step").value = String(step);
  const where = step <= count ? `step ${step} of ${count}` : `end, ${count} steps`;
  at("step").setAttribute("aria-valuetext", where);
  at("count").textContent = where;
  at("first").disabled = at("back").disabled = step === 1;
  at("last").disabled = at("forward").disabled = step > count;
}

function mark() {
  const { steps } = replays[episode];
  const strip = at("marks");
  strip.setAttribute("viewBox", `-0.5 0 ${steps.length + 1} 1`);
  const marked = steps.flatMap((now, number) => (swayed(now) ? [number] : []));
  strip.replaceChildren(...marked.map((number) => shape("rect", { x: number - 0.4, y: 0, width: 0.8, height: 1 })));
}

// Goes to a step, from 1; the one after the last shows how it ended. The address keeps the place, to be shared.
function go(to, share = true) {
  step = Math.min(Math.max(1, to), replays[episode].steps.length + 1);
  render();
  if (share) history.replaceState(null, "", `#replay=${episode + 1}&step=${step}`);
}

function choose(number, to = 1, share = true) {
  episode = Math.min(Math.max(0, number), replays.length - 1);
  mark();
  go(to, share);
}

function pause() {
  clearInterval(timer);
  timer = null;
  at("play").setAttribute("aria-pressed", "false");
  at("play").setAttribute("aria-label", "Play");
  at("context").setAttribute("aria-live", "polite");
}

function play() {
  if (timer !== null) return pause();
  if (step > replays[episode].steps.length) go(1);
  at("play").setAttribute("aria-pressed", "true");
  at("play").setAttribute("aria-label", "Pause");
  at("context").setAttribute("aria-live", "off");
  timer = setInterval(() => {
    go(step + 1);
    if (step > replays[episode].steps.length) pause();
  }, PAUSE);
}

function follow() {
  const place = new URLSearchParams(location.hash.slice(1));
  if (!place.has("replay")) return false;
  pause();
  choose((Number.parseInt(place.get("replay"), 10) || 1) - 1, Number.parseInt(place.get("step"), 10) || 1, false);
  document.getElementById("replay").scrollIntoView({ block: "nearest" });
  return true;
}

const moves = { first: () => 1, back: () => step - 1, forward: () => step + 1, last: () => Infinity };
for (const [name, to] of Object.entries(moves)) {
  at(name).addEventListener("click", () => { pause(); go(to()); });
}
at("play").addEventListener("click", play);
at("step").addEventListener("input", () => { pause(); go(Number(at("step").value)); });
at("episode").addEventListener("change", () => { pause(); choose(Number(at("episode").value)); });
document.getElementById("replay").addEventListener("keydown", (event) => {
  const keys = { ArrowLeft: "back", ArrowRight: "forward", Home: "first", End: "last" };
  if (event.altKey || event.ctrlKey || event.metaKey || event.target === at("episode")) return;
  if (event.key === " " && event.target.tagName !== "BUTTON") play();
  else if (event.key in keys) { pause(); go(moves[keys[event.key]]()); }
  else return;
  event.preventDefault();
});
window.addEventListener("hashchange", follow);
if (!follow()) choose(0, 1, false);
}
