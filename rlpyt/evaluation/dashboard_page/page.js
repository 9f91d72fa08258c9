"use strict";
// The dashboard: asks /api/runs, /api/curves and /api/output every two seconds, and draws.
// Texts of runs reach the page as text nodes and attributes alone, never as HTML.

const PERIOD = 2000; // milliseconds between two questions
const N_COLOURS = 7;
const DASHES = ["", "7 4", "2 3", "8 3 2 3"]; // when colours come round again
const HEIGHT = 270, LEFT = 52, RIGHT = 14, TOP = 10, BOTTOM = 26; // of a panel, pixels
const GRID = 160; // points of a mean curve
const STATES = ["running", "ending", "lost", "failed", "stopped", "queued", "done"];

const view = {
  runs: [], // as the server tells them
  curves: new Map(), // run id: [xs, ys]
  stamp: 0, // of the newest curve that is here
  looks: new Map(), // settings: their place among colours and dashes, kept while the page is open
  hidden: new Set(), // settings that the legend has switched off
  states: new Set(), // that the table is limited to; empty: all
  panels: new Map(), // environment: Panel
  rows: new Map(), // run id: its row in the table
  open: null, // id of the run whose output is shown
};
const byId = (id) => document.getElementById(id);

// --- elements and numbers ----------------------------------------------------------------------

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children); // strings become text
  return node;
}
const html = (tag, attributes = {}, ...children) =>
  fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text; // leaves selections alone
}

function quantity(value) {
  if (value === null || value === undefined) return "";
  for (const [size, letter] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(value) >= size * 0.9995) return Number((value / size).toPrecision(3)) + letter;
  }
  return String(Number(value.toPrecision(3)));
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const s = Math.round(seconds), two = (n) => String(n).padStart(2, "0");
  const days = Math.floor(s / 86400), hours = Math.floor(s / 3600) % 24;
  const minutes = two(Math.floor(s / 60) % 60);
  return days ? `${days}d ${two(hours)}:${minutes}` : `${hours}:${minutes}:${two(s % 60)}`;
}

// Round numbers that divide low..high into about n parts.
function ticks(low, high, n) {
  const raw = (high - low) / n, power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= raw * 0.999);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step);
  return found;
}

// --- curves ------------------------------------------------------------------------------------

// Moving average as TensorBoard's: weight w for what came before, without its bias to zero.
function smoothed(ys, w) {
  let sum = 0, weight = 0;
  return ys.map((y) => (sum = w * sum + (1 - w) * y) / (weight = w * weight + (1 - w)));
}

// y at x on the straight lines between points; null before the first and after the last.
function at(xs, ys, x) {
  const last = xs.length - 1;
  if (last < 0 || x < xs[0] || x > xs[last]) return null;
  let low = 0, high = last;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (xs[middle] <= x) low = middle; else high = middle;
  }
  const width = xs[high] - xs[low];
  return width > 0 ? ys[low] + ((ys[high] - ys[low]) * (x - xs[low])) / width : ys[high];
}

// Mean and standard deviation over runs, where at least half of them have been.
function meanCurve(curves) {
  if (curves.length === 1) {
    const [xs, ys] = curves[0];
    return { xs, ys, std: ys.map(() => 0) };
  }
  const low = Math.min(...curves.map(([xs]) => xs[0]));
  const high = Math.max(...curves.map(([xs]) => xs[xs.length - 1]));
  const mean = { xs: [], ys: [], std: [] };
  for (let i = 0; i <= GRID; i++) {
    const x = low + ((high - low) * i) / GRID;
    const values = curves.map(([xs, ys]) => at(xs, ys, x)).filter((y) => y !== null);
    if (2 * values.length < curves.length || !values.length) continue;
    const average = values.reduce((a, b) => a + b) / values.length;
    const variance = values.reduce((a, b) => a + (b - average) ** 2, 0) / values.length;
    mean.xs.push(x);
    mean.ys.push(average);
    mean.std.push(Math.sqrt(variance));
  }
  return mean;
}

const groupName = (run) => run.group || "all runs";

function look(group) {
  if (!view.looks.has(group)) view.looks.set(group, view.looks.size);
  const place = view.looks.get(group);
  return {
    colour: `var(--c${place % N_COLOURS})`,
    dash: DASHES[Math.floor(place / N_COLOURS) % DASHES.length],
  };
}

// What a panel shows: for each setting in its environment its curves and their mean.
function groupsOf(env) {
  const weight = Number(byId("smooth").value), groups = new Map();
  for (const run of view.runs) {
    const curve = view.curves.get(run.id), name = groupName(run);
    if (run.env !== env || !curve || !curve[0].length || view.hidden.has(name)) continue;
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(weight ? [curve[0], smoothed(curve[1], weight)] : curve);
  }
  return [...groups]
    .map(([name, curves]) => ({ name, curves, mean: meanCurve(curves), ...look(name) }))
    .filter((group) => group.mean.xs.length)
    .sort((a, b) => view.looks.get(a.name) - view.looks.get(b.name));
}

// --- panels ------------------------------------------------------------------------------------

class Panel {
  constructor(env) {
    this.env = env;
    this.canvas = svg("svg", { role: "img", "aria-label": `learning curves on ${env || "all"}` });
    this.tip = html("div", { class: "tip", hidden: "" });
    this.root = html("article", { class: "panel" }, html("h2", {}, env || "all runs"), this.canvas, this.tip);
    this.pointer = null; // where the mouse is, pixels
    this.canvas.addEventListener("pointermove", (event) => {
      this.pointer = [event.offsetX, event.offsetY];
      this.hover();
    });
    this.canvas.addEventListener("pointerleave", () => {
      this.pointer = null;
      this.hover();
    });
  }

  draw() {
    this.groups = groupsOf(this.env);
    const width = this.canvas.clientWidth || 460, groups = this.groups;
    this.canvas.replaceChildren();
    this.canvas.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    if (!groups.length) {
      this.canvas.append(svg("text", { x: width / 2, y: HEIGHT / 2, "text-anchor": "middle" }, "no data yet"));
      this.hover();
      return;
    }
    this.setScales(width);
    this.drawAxes(width);
    this.layers = new Map();
    for (const group of groups) this.canvas.append(this.layer(group));
    this.cross = svg("line", { class: "cross", y1: TOP, y2: HEIGHT - BOTTOM, visibility: "hidden" });
    this.canvas.append(this.cross);
    this.hover();
  }

  setScales(width) {
    const shown = this.groups.flatMap(({ curves, mean }) =>
      byId("each").checked ? [[mean.xs, mean.ys], ...curves] : [[mean.xs, mean.ys]]);
    let left = Infinity, right = -Infinity, low = Infinity, high = -Infinity;
    for (const [xs, ys] of shown) {
      left = Math.min(left, xs[0]);
      right = Math.max(right, xs[xs.length - 1]);
      for (const y of ys) { low = Math.min(low, y); high = Math.max(high, y); }
    }
    for (const { mean } of this.groups) mean.ys.forEach((y, i) => {
      low = Math.min(low, y - mean.std[i]);
      high = Math.max(high, y + mean.std[i]);
    });
    if (left > 0 && left < right / 4) left = 0;
    if (!(right > left)) right = left + 1;
    const margin = (high - low) * 0.04 || Math.abs(high) * 0.1 || 1;
    low -= margin;
    high += margin;
    this.range = { left, right, low, high };
    this.x = (x) => LEFT + ((x - left) / (right - left)) * (width - LEFT - RIGHT);
    this.y = (y) => TOP + ((high - y) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  }

  drawAxes(width) {
    const { left, right, low, high } = this.range, bottom = HEIGHT - BOTTOM;
    for (const value of ticks(low, high, 6)) {
      const y = this.y(value).toFixed(1);
      this.canvas.append(
        svg("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y, y2: y }),
        svg("text", { x: LEFT - 7, y, dy: "0.34em", "text-anchor": "end" }, quantity(value)));
    }
    this.canvas.append(svg("line", { class: "base", x1: LEFT, x2: width - RIGHT, y1: bottom, y2: bottom }));
    const isTime = byId("x").value === "time";
    const [unit, word] = !isTime ? [1, ""] : right > 7200 ? [3600, " h"] : right > 120 ? [60, " min"] : [1, " s"];
    for (const value of ticks(left / unit, right / unit, Math.max(3, Math.floor(width / 95)))) {
      const text = quantity(value) + word;
      this.canvas.append(svg("text", { x: this.x(value * unit), y: HEIGHT - 8, "text-anchor": "middle" }, text));
    }
  }

  path(xs, ys) {
    return xs.map((x, i) => `${i ? "L" : "M"}${this.x(x).toFixed(1)} ${this.y(ys[i]).toFixed(1)}`).join("");
  }

  layer({ name, curves, mean, colour, dash }) {
    const layer = svg("g", { "data-group": name });
    if (curves.length > 1) {
      const upper = this.path(mean.xs, mean.ys.map((y, i) => y + mean.std[i]));
      const lower = this.path([...mean.xs].reverse(), mean.ys.map((y, i) => y - mean.std[i]).reverse());
      const runs = svg("g", { class: "runs" }, ...curves.map((curve) =>
        svg("path", { class: "run", d: this.path(...curve) })));
      const band = svg("path", { class: "band", d: `${upper}L${lower.slice(1)}Z` });
      band.style.fill = colour;
      runs.style.stroke = colour;
      layer.append(band, runs);
    }
    const line = svg("path", { class: "mean", d: this.path(mean.xs, mean.ys), "stroke-dasharray": dash });
    line.style.stroke = colour;
    layer.append(line);
    this.layers.set(name, layer);
    return layer;
  }

  // Lift one setting out of the others, with its runs; null: none.
  lift(name) {
    const found = this.layers && this.layers.get(name);
    this.canvas.classList.toggle("hover", Boolean(found));
    for (const layer of this.layers ? this.layers.values() : []) layer.classList.toggle("near", layer === found);
  }

  // The values below the mouse, the nearest curve lifted.
  hover() {
    const inside = this.pointer && this.groups.length &&
      this.pointer[0] >= LEFT && this.pointer[0] <= this.canvas.clientWidth - RIGHT;
    this.tip.hidden = !inside;
    if (this.cross) this.cross.setAttribute("visibility", inside ? "visible" : "hidden");
    if (!inside) {
      this.lift(null);
      return;
    }
    const { left, right } = this.range, width = this.canvas.clientWidth;
    const x = left + ((this.pointer[0] - LEFT) / (width - LEFT - RIGHT)) * (right - left);
    const values = this.groups
      .map((group) => ({ ...group, value: at(group.mean.xs, group.mean.ys, x) }))
      .filter(({ value }) => value !== null)
      .sort((a, b) => b.value - a.value);
    this.cross.setAttribute("x1", this.pointer[0]);
    this.cross.setAttribute("x2", this.pointer[0]);
    const away = ({ value }) => Math.abs(this.y(value) - this.pointer[1]);
    const near = values.reduce((best, each) => (!best || away(each) < away(best) ? each : best), null);
    this.lift(near && away(near) < 30 ? near.name : null);
    const isTime = byId("x").value === "time";
    this.tip.replaceChildren(isTime ? duration(x) : `${quantity(x)} steps`, ...values.slice(0, 12).map((each) => {
      const mark = html("i"), text = each === near ? html("b", {}, each.name) : html("span", {}, each.name);
      mark.style.background = each.colour;
      return html("div", {}, mark, text, html("span", {}, quantity(each.value)));
    }));
    const isRight = this.pointer[0] > width / 2; // the other half has place for the values
    this.tip.style.left = isRight ? `${LEFT + 20}px` : "auto";
    this.tip.style.right = isRight ? "auto" : `${RIGHT + 16}px`;
  }
}

function drawPanels() {
  const envs = [...new Set(view.runs.map((run) => run.env))].sort();
  for (const [env, panel] of view.panels) if (!envs.includes(env)) {
    panel.root.remove();
    view.panels.delete(env);
  }
  byId("panels").classList.toggle("each", byId("each").checked);
  for (const env of envs) {
    if (!view.panels.has(env)) {
      view.panels.set(env, new Panel(env));
      byId("panels").replaceChildren(...[...view.panels.values()]
        .sort((a, b) => (a.env < b.env ? -1 : 1)).map(({ root }) => root));
    }
    view.panels.get(env).draw();
  }
}

function drawLegend() {
  const counts = new Map(), byNumber = [...view.runs].sort((a, b) => a.id - b.id);
  for (const run of byNumber) counts.set(groupName(run), (counts.get(groupName(run)) || 0) + 1);
  for (const name of counts.keys()) look(name); // colours by the order of their coming
  const known = byId("legend").dataset.names, names = JSON.stringify([...counts.keys()]);
  if (known === names) return;
  byId("legend").dataset.names = names;
  byId("legend").replaceChildren(...[...counts.keys()].map((name) => {
    const line = svg("line", { x1: 1, x2: 23, y1: 5, y2: 5, "stroke-width": 3, "stroke-dasharray": look(name).dash });
    line.style.stroke = look(name).colour;
    const button = html("button", { type: "button", "aria-pressed": !view.hidden.has(name) },
      svg("svg", { width: 24, height: 10, "aria-hidden": true }, line), name);
    button.addEventListener("click", () => {
      if (!view.hidden.delete(name)) view.hidden.add(name);
      button.setAttribute("aria-pressed", !view.hidden.has(name));
      drawPanels();
    });
    button.addEventListener("pointerenter", () => view.panels.forEach((panel) => panel.lift(name)));
    button.addEventListener("pointerleave", () => view.panels.forEach((panel) => panel.lift(null)));
    return button;
  }));
}

// --- the table ---------------------------------------------------------------------------------

function newRow(run) {
  const cells = ["", "", "n", "n", "", "n", "n", "n", "n", "n"].map((name) => html("td", { class: name }));
  const name = html("button", { type: "button", class: "name" }), reason = html("div", { class: "reason" });
  const state = html("span"), full = html("i"), track = html("div", { class: "track" }, full);
  cells[0].append(state);
  cells[1].append(name, reason);
  cells[4].append(track);
  const row = html("tr", { "data-run": run.id }, ...cells);
  row.addEventListener("click", () => openOutput(run.id));
  return { row, cells, name, reason, state, full, track };
}

function fillRow({ row, cells, name, reason, state, full, track }, run, label) {
  state.className = `state ${run.state}`;
  track.className = `track ${run.state}`;
  full.style.width = `${100 * (run.fraction || 0)}%`;
  setText(state, run.state);
  setText(name, label);
  row.title = [run.name, run.host && `on ${run.host}`, run.attempts > 1 && `attempt ${run.attempts}`,
    run.slot !== null && `slot ${run.slot}`].filter(Boolean).join(" · ");
  reason.className = `reason ${run.state}`;
  setText(reason, run.state === "failed" || run.state === "lost" ? run.reason : "");
  const steps = run.n_steps ? `${quantity(run.steps || 0)} / ${quantity(run.n_steps)}` : quantity(run.steps);
  const memory = run.memory === null ? "" : `${quantity(run.memory)}B`;
  const cpu = run.cpu === null ? "" : `${run.cpu.toFixed(0)}%`;
  const texts = [[2, run.seed === null ? "" : String(run.seed)], [3, steps], [5, quantity(run.steps_per_second)],
    [6, quantity(run.return)], [7, duration(run.eta)], [8, cpu], [9, memory]];
  for (const [i, text] of texts) setText(cells[i], text);
}

function drawTable() {
  const several = new Set(view.runs.map((run) => run.env)).size > 1, shown = [];
  const words = byId("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const run of view.runs) {
    if (view.states.size && !view.states.has(run.state)) continue;
    const parts = [run.state, run.name, run.group, run.env, `seed=${run.seed}`, run.host, run.reason];
    const text = parts.join(" ").toLowerCase();
    if (!words.every((word) => text.includes(word))) continue;
    if (!view.rows.has(run.id)) view.rows.set(run.id, newRow(run));
    const label = [several && run.env, run.group].filter(Boolean).join(" · ") || run.name;
    fillRow(view.rows.get(run.id), run, label);
    shown.push(view.rows.get(run.id).row);
  }
  const body = byId("runs");
  if (shown.length !== body.children.length || shown.some((row, i) => body.children[i] !== row)) {
    body.replaceChildren(...shown);
  }
  const here = new Set(view.runs.map((run) => run.id));
  for (const id of view.rows.keys()) if (!here.has(id)) view.rows.delete(id);
  const n = view.runs.length;
  setText(byId("shown"), !n ? "no runs yet" : shown.length < n ? `${shown.length} of ${n} runs` : "");
}

function drawStates() {
  const counts = STATES.map((state) => [state, view.runs.filter((run) => run.state === state).length])
    .filter(([state, count]) => count || view.states.has(state));
  const known = byId("states").dataset.counts, now = JSON.stringify([counts, [...view.states]]);
  if (known === now) return;
  byId("states").dataset.counts = now;
  byId("states").replaceChildren(...counts.map(([state, count]) => {
    const button = html("button", { type: "button", class: `state ${state}`, "aria-pressed": view.states.has(state) },
      `${count} ${state}`);
    button.addEventListener("click", () => {
      if (!view.states.delete(state)) view.states.add(state);
      drawStates();
      drawTable();
    });
    return button;
  }));
}

function drawHead(told) {
  setText(byId("directory"), told.directory);
  document.title = `${(told.counts || {}).running || 0} running · ${told.directory} · rlpyt`;
  const waits = told.counts.queued || told.counts.lost;
  const facts = [["runs", String(told.runs.length), ""], ["steps/s", quantity(told.steps_per_second), ""],
    ["left", duration(told.eta) || "–", ""]];
  if (told.launchers !== null) {
    facts.push(["launchers", String(told.launchers), !told.launchers && waits ? "warning" : ""]);
  }
  byId("facts").replaceChildren(...facts.map(([word, value, kind]) =>
    html("div", { class: kind }, html("dt", {}, word), html("dd", {}, value))));
}

// --- what a run has printed --------------------------------------------------------------------

async function drawOutput() {
  const run = view.runs.find((each) => each.id === view.open);
  if (!run) return;
  setText(byId("output-name"), run.name);
  setText(byId("output-reason"), run.reason);
  const { text } = await ask(`/api/output?run=${run.id}`);
  if (view.open !== run.id) return; // closed, or another was opened meanwhile
  const box = byId("output-text");
  const wasAtEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 8;
  setText(box, text || "(it has printed nothing)");
  if (wasAtEnd) box.scrollTop = box.scrollHeight;
}

function openOutput(id) {
  view.open = id;
  byId("output-text").textContent = "";
  byId("output").showModal();
  drawOutput().catch(() => {});
}

// --- the loop ----------------------------------------------------------------------------------

async function ask(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

function drawColumns(columns) {
  const select = byId("y"), chosen = select.value || "ReturnAverage";
  const names = [...new Set([chosen, ...columns])];
  if (names.length === select.length && names.every((name, i) => select[i].value === name)) return;
  select.replaceChildren(...names.map((name) => html("option", { value: name }, name)));
  select.value = chosen;
}

async function refreshCurves() {
  const y = byId("y").value || "ReturnAverage", x = byId("x").value;
  const question = new URLSearchParams({ y, x, since: view.stamp });
  const news = await ask(`/api/curves?${question}`);
  if ((byId("y").value || y) !== y || byId("x").value !== x) return; // another was chosen meanwhile
  view.stamp = news.stamp;
  for (const [id, curve] of Object.entries(news.curves)) view.curves.set(Number(id), curve);
  drawColumns(news.columns);
}

function tell(problem) {
  setText(byId("problem"), problem);
  byId("problem").hidden = !problem;
}

async function refresh() {
  try {
    const told = await ask("/api/runs");
    const old = told.age > 6 ? `What you see is ${duration(told.age)} old.` : "";
    tell([told.problem, old].filter(Boolean).join(" "));
    if (!told.runs) return; // the first look goes on
    view.runs = told.runs;
    await refreshCurves();
    drawHead(told);
    drawLegend();
    drawPanels();
    drawStates();
    drawTable();
    if (view.open !== null) await drawOutput();
  } catch (error) {
    tell(`The dashboard does not answer: has it been ended? (${error.message})`);
  }
}

let timer = 0;
async function keepFresh() {
  clearTimeout(timer);
  if (!document.hidden) await refresh();
  timer = setTimeout(keepFresh, view.runs.length ? PERIOD : PERIOD / 4);
}

function choose() {
  view.curves.clear(); // of another column
  view.stamp = 0;
  refreshCurves().then(drawPanels).catch(() => {});
}
byId("y").addEventListener("change", choose);
byId("x").addEventListener("change", choose);
byId("smooth").addEventListener("input", drawPanels);
byId("each").addEventListener("change", drawPanels);
byId("filter").addEventListener("input", drawTable);
byId("close").addEventListener("click", () => byId("output").close());
byId("output").addEventListener("close", () => { view.open = null; });
document.addEventListener("visibilitychange", keepFresh);
new ResizeObserver(drawPanels).observe(byId("panels"));
keepFresh();
