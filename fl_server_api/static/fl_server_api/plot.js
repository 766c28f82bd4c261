// Plots on a canvas: lines with their spread, many thin lines, stacked bars, a readout, and the numbers as a table.
// docs/pages.md describes the data.
const HEIGHT = 240;
const MARGIN = { top: 10, right: 14, bottom: 30, left: 58 };
const COLOURS = 8; // --series-1 … in face.css

/** Ticks at 1, 2 or 5 times a power of ten, about `count` of them. */
export function ticks(low, high, count, whole = false) {
  const rough = (high - low) / Math.max(1, count) || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  let step = [1, 2, 5, 10].map((factor) => factor * power).find((one) => one >= rough * 0.85);
  if (whole) step = Math.max(1, Math.round(step));
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => (first + index) * step);
}

export function readable(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return value;
  return Number(value.toPrecision(4)).toString();
}

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function bounds(lists) {
  let low = Infinity;
  let high = -Infinity;
  for (const list of lists) {
    for (const value of list) {
      if (value === null) continue;
      if (value < low) low = value;
      if (value > high) high = value;
    }
  }
  if (low > high) return [0, 1];
  const room = (high - low) * 0.04 || Math.abs(high) * 0.1 || 1;
  return [low - room, high + room];
}

/** How high the bars of stacked series are, each on the one before. */
function tops(series) {
  const length = series[0]?.y.length ?? 0;
  return Array.from({ length }, (_, index) => series.reduce((sum, { y }) => sum + (y[index] ?? 0), 0));
}

export class Plot {
  /** figure: an empty element. loadEach: gives the series of each participant, asked once; null: there are none. */
  constructor(figure, loadEach = null) {
    this.figure = figure;
    this.hidden = new Set();
    this.each = [];
    this.at = null;
    this.caption = make("figcaption");
    this.note = make("p", { className: "note" });
    this.canvas = make("canvas", { tabIndex: 0 });
    this.canvas.setAttribute("role", "img");
    this.legend = make("div", { className: "legend" });
    this.readout = make("output", { className: "readout" });
    this.readout.setAttribute("aria-live", "polite");
    this.numbers = make("details", {}, make("summary", { textContent: "Numbers" }));
    figure.replaceChildren(this.caption, this.note, this.canvas, this.readout, this.legend, this.numbers);
    if (loadEach) this.offerEach(loadEach);
    this.listen();
  }

  listen() {
    this.canvas.addEventListener("pointermove", (event) => this.point(event.offsetX, event.offsetY));
    this.canvas.addEventListener("pointerleave", () => { this.at = null; this.draw(); });
    this.canvas.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step || !this.data) return;
      event.preventDefault();
      const last = this.data.x.values.length - 1;
      this.at = Math.min(last, Math.max(0, (this.at ?? (step > 0 ? -1 : last + 1)) + step));
      this.near = null;
      this.draw();
    });
    this.numbers.addEventListener("toggle", () => this.fillTable());
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    new MutationObserver(() => this.draw()).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  offerEach(loadEach) {
    const box = make("input", { type: "checkbox" });
    this.picked = make("select", { hidden: true });
    this.picked.setAttribute("aria-label", "Participant to highlight");
    box.addEventListener("change", async () => {
      this.each = box.checked ? await loadEach() : [];
      this.picked.replaceChildren(...["", ...this.each.map((one) => one.name)].map(
        (name) => make("option", { value: name, textContent: name || "highlight …" })));
      this.picked.hidden = !box.checked;
      this.draw();
    });
    this.picked.addEventListener("change", () => this.draw());
    this.reloadEach = async () => {
      if (!box.checked) return;
      this.each = await loadEach();
      this.draw();
    };
    this.figure.insertBefore(
      make("p", { className: "each" }, make("label", {}, box, " Each participant"), " ", this.picked), this.numbers);
  }

  /** data: {title, note?, x: {label, values}, series: [{name, y, low?, high?}], columns?: [{name, values}]} */
  show(data) {
    this.data = data;
    this.caption.textContent = data.title;
    this.note.textContent = data.note ?? "";
    this.canvas.setAttribute("aria-label", this.summary());
    this.fillLegend();
    this.fillTable();
    this.draw();
    this.reloadEach?.();
  }

  summary() {
    const { title, x, series } = this.data;
    const told = series.map(({ name, y }) => {
      const known = y.map((value, index) => [value, x.values[index]]).filter(([value]) => value !== null);
      if (!known.length) return `${name}: no numbers`;
      const [[first, from], [last, to]] = [known[0], known.at(-1)];
      return `${name} ${readable(first)} in ${x.label} ${from}, ${readable(last)} in ${x.label} ${to}`;
    });
    return `${title}. ${told.join("; ")}. The arrow keys read single values; the table below has all.`;
  }

  fillLegend() {
    if (this.data.series.length < 2) return this.legend.replaceChildren();
    const buttons = this.data.series.map(({ name }, index) => {
      const button = make("button", { type: "button", textContent: name });
      button.style.setProperty("--colour", `var(--series-${(index % COLOURS) + 1})`);
      button.setAttribute("aria-pressed", String(!this.hidden.has(name)));
      button.addEventListener("click", () => {
        if (!this.hidden.delete(name)) this.hidden.add(name);
        button.setAttribute("aria-pressed", String(!this.hidden.has(name)));
        this.draw();
      });
      return button;
    });
    return this.legend.replaceChildren(...buttons);
  }

  fillTable() {
    if (!this.numbers.open || !this.data) return;
    const { x, series, columns = [] } = this.data;
    const all = [...series.map(({ name, y }) => ({ name, values: y })), ...columns];
    const head = make("tr", {}, ...[x.label, ...all.map(({ name }) => name)].map(
      (name) => make("th", { scope: "col", textContent: name })));
    const rows = x.values.map((at, index) => make("tr", {}, make("th", { scope: "row", textContent: at }),
      ...all.map(({ values }) => make("td", { textContent: readable(values[index]) }))));
    const table = make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows));
    const box = make("div", { className: "scrolls", tabIndex: 0 }, table);
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", `${this.data.title}: numbers`);
    this.numbers.replaceChildren(this.numbers.firstElementChild, box);
  }

  visible() {
    return this.data.series.map((one, index) => ({ ...one, colour: `--series-${(index % COLOURS) + 1}` }))
      .filter(({ name }) => !this.hidden.has(name));
  }

  point(left, top) {
    if (!this.scale) return;
    const wanted = this.scale.fromX(left);
    const values = this.data.x.values;
    let best = null;
    values.forEach((value, index) => {
      if (best === null || Math.abs(value - wanted) < Math.abs(values[best] - wanted)) best = index;
    });
    this.at = best;
    this.near = this.each.length ? this.nearest(best, this.scale.fromY(top)) : null;
    this.draw();
  }

  nearest(index, value) {
    const known = this.each.filter(({ y }) => (y[index] ?? null) !== null);
    const distance = ({ y }) => Math.abs(y[index] - value);
    return known.reduce((best, one) => (best === null || distance(one) < distance(best) ? one : best), null);
  }

  draw() {
    const width = this.canvas.clientWidth;
    if (!this.data || !width) return;
    const started = performance.now();
    const ratio = devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(HEIGHT * ratio);
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    this.colours = new Map();
    const shown = this.visible();
    this.scale = this.scaleOf(width, shown);
    this.drawAxes(pen, width);
    for (const { y } of this.each) this.drawLine(pen, y, "--thin", 0.6);
    if (this.data.stacked) this.drawBars(pen, width, shown);
    else {
      for (const { low, high, colour } of shown) if (low) this.drawBand(pen, low, high, colour);
      for (const { y, colour } of shown) this.drawLine(pen, y, colour, 2);
    }
    const picked = this.each.find(({ name }) => name === this.picked?.value) ?? this.near;
    if (picked) this.drawLine(pen, picked.y, "--picked", 2.5);
    this.tell(pen, shown, picked);
    this.figure.dataset.drawn = (performance.now() - started).toFixed(1);
  }

  /** A custom property as a colour that the canvas understands: light-dark() is resolved only where a colour is used. */
  colour(name) {
    if (!this.colours.has(name)) {
      this.caption.style.setProperty("border-top-color", `var(${name})`);
      this.colours.set(name, getComputedStyle(this.caption).borderTopColor);
    }
    return this.colours.get(name);
  }

  scaleOf(width, shown) {
    const xs = this.data.x.values;
    const beside = this.data.stacked ? 0.5 : 0; // a bar is as wide as the way to the next one
    const [left, right] = xs.length > 1 ? [xs[0] - beside, xs.at(-1) + beside] : [(xs[0] ?? 0) - 1, (xs[0] ?? 0) + 1];
    const [low, high] = this.data.stacked ? [0, bounds([tops(shown)])[1]] : bounds([...shown.flatMap(({ y, low: l, high: h }) => (l ? [y, l, h] : [y])),
      ...this.each.map(({ y }) => y)]);
    const across = (width - MARGIN.left - MARGIN.right) / (right - left);
    const down = (HEIGHT - MARGIN.top - MARGIN.bottom) / (high - low);
    return {
      left, right, low, high,
      x: (value) => MARGIN.left + (value - left) * across,
      y: (value) => MARGIN.top + (high - value) * down,
      fromX: (pixel) => left + (pixel - MARGIN.left) / across,
      fromY: (pixel) => high - (pixel - MARGIN.top) / down,
    };
  }

  drawAxes(pen, width) {
    const { scale } = this;
    pen.font = "12px system-ui, sans-serif";
    pen.fillStyle = this.colour("--quiet");
    pen.strokeStyle = this.colour("--line");
    pen.lineWidth = 1;
    pen.textBaseline = "middle";
    pen.textAlign = "right";
    for (const value of ticks(scale.low, scale.high, 5)) {
      const at = Math.round(scale.y(value)) + 0.5;
      pen.beginPath(); pen.moveTo(MARGIN.left, at); pen.lineTo(width - MARGIN.right, at); pen.stroke();
      pen.fillText(readable(value), MARGIN.left - 8, at);
    }
    pen.textBaseline = "top";
    pen.textAlign = "center";
    const count = Math.max(2, Math.floor(width / 110));
    for (const value of ticks(scale.left, scale.right, count, true)) {
      pen.fillText(readable(value), scale.x(value), HEIGHT - MARGIN.bottom + 6);
    }
  }

  drawLine(pen, y, colour, width) {
    const { scale, data: { x: { values } } } = this;
    pen.strokeStyle = this.colour(colour);
    pen.lineWidth = width;
    pen.lineJoin = "round";
    pen.beginPath();
    let isDown = false;
    for (let index = 0; index < values.length; index += 1) {
      const value = y[index] ?? null;
      if (value === null) { isDown = false; continue; }
      const alone = !isDown && (y[index + 1] ?? null) === null;
      if (isDown) pen.lineTo(scale.x(values[index]), scale.y(value));
      else pen.moveTo(scale.x(values[index]) - (alone ? 2 : 0), scale.y(value));
      if (alone) pen.lineTo(scale.x(values[index]) + 2, scale.y(value));
      isDown = true;
    }
    pen.stroke();
  }

  drawBand(pen, low, high, colour) {
    const { scale, data: { x: { values } } } = this;
    const known = values.map((_, index) => index).filter((index) => (low[index] ?? null) !== null);
    pen.fillStyle = this.colour(colour);
    pen.globalAlpha = 0.18;
    pen.beginPath();
    known.forEach((index) => pen.lineTo(scale.x(values[index]), scale.y(high[index])));
    known.reverse().forEach((index) => pen.lineTo(scale.x(values[index]), scale.y(low[index])));
    pen.fill();
    pen.globalAlpha = 1;
  }

  drawBars(pen, width, shown) {
    const { scale, data: { x: { values } } } = this;
    const each = (width - MARGIN.left - MARGIN.right) / (scale.right - scale.left);
    const across = Math.max(1, Math.min(60, each * 0.8));
    const sums = values.map(() => 0);
    for (const { y, colour } of shown) {
      pen.fillStyle = this.colour(colour);
      values.forEach((value, index) => {
        const from = sums[index];
        sums[index] += y[index] ?? 0;
        pen.fillRect(scale.x(value) - across / 2, scale.y(sums[index]), across, scale.y(from) - scale.y(sums[index]));
      });
    }
  }

  tell(pen, shown, picked) {
    const index = this.at ?? this.data.x.values.length - 1;
    if (index < 0) { this.readout.textContent = "No numbers yet."; return; }
    if (this.at !== null) {
      const at = Math.round(this.scale.x(this.data.x.values[index])) + 0.5;
      pen.strokeStyle = this.colour("--quiet");
      pen.lineWidth = 1;
      pen.beginPath(); pen.moveTo(at, MARGIN.top); pen.lineTo(at, HEIGHT - MARGIN.bottom); pen.stroke();
    }
    const parts = shown.map(({ name, y, low, high }) => `${name} ${readable(y[index])}`
      + (low && (low[index] ?? null) !== null ? ` (${readable(low[index])} to ${readable(high[index])})` : ""));
    if (picked) parts.push(`${picked.name} ${readable(picked.y[index])}`);
    for (const { name, values, told } of this.data.columns ?? []) {
      if (told && values[index] !== null) parts.push(`${name}: ${values[index]}`);
    }
    const text = `${this.data.x.label} ${this.data.x.values[index]}: ${parts.join(", ")}`;
    if (this.readout.textContent !== text) this.readout.textContent = text;
  }
}

async function numbers(url) {
  const answer = await fetch(url, { headers: { Accept: "application/json" } });
  if (!answer.ok || answer.redirected) throw new Error(`The numbers can't be read: ${answer.status}.`);
  return answer.json();
}

/** An address with these parameters, and the smoothing that was chosen for the container. */
function asked({ dataset: { smoothing } }, address, parameters = {}) {
  const all = new URLSearchParams({ ...parameters, ...(smoothing && { smoothing }) });
  return all.size ? `${address}?${all}` : address;
}

/** Draw every plot of a container's `data-plots` address, or draw those again that have changed. */
export async function drawAll(container) {
  const { plots } = await numbers(asked(container, container.dataset.plots));
  container.plots ??= new Map();
  if (!container.plots.size) container.replaceChildren();
  for (const [name, data] of Object.entries(plots)) {
    if (!container.plots.has(name)) {
      const figure = make("figure", { className: "plot" });
      container.append(figure);
      const { each, eachOf = "" } = container.dataset;
      const load = each && name.startsWith(eachOf)
        ? async () => (await numbers(asked(container, each, { plot: name }))).series : null;
      container.plots.set(name, new Plot(figure, load));
    }
    container.plots.get(name).show(data);
  }
  if (!container.plots.size) container.replaceChildren(make("p", { textContent: container.dataset.empty }));
}

for (const choice of document.querySelectorAll("select[data-smooths]")) {
  choice.addEventListener("change", () => {
    const container = document.getElementById(choice.dataset.smooths);
    container.dataset.smoothing = choice.value;
    drawAll(container).catch((error) => { container.textContent = error.message; });
  });
}

for (const container of document.querySelectorAll("[data-plots]")) {
  drawAll(container).catch((error) => { container.textContent = error.message; });
}
for (const figure of document.querySelectorAll("figure.plot[data-source]")) {
  numbers(figure.dataset.source).then((data) => new Plot(figure).show(data), (error) => { figure.textContent = error.message; });
}
