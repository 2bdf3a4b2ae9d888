
"use strict";
// The page draws; every number in it comes from an answer, and is shown as it came.

const SVG = "http://www.w3.org/2000/svg";
const holder = document.querySelector("#recorded");
const recorded = holder ? JSON.parse(holder.textContent) : null;

function made(name, attributes, parent, text) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  if (parent) parent.append(element);
  return element;
}

function drawn(name, attributes, parent, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

async function told(path, question) {
  let answer, found;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(question),
    });
    found = await answer.json();
  } catch { throw new Error("The server does not answer; is nst lesson still running?"); }
  if (!answer.ok) throw new Error(found.error);
  return found;
}

// ---- Showing an answer ----------------------------------------------------------------------

function showValue(place, value) {
  place.textContent = typeof value === "object" ? value.text : value;
  if (typeof value === "object") place.dataset.number = value.number;
}

function showPicture(place, picture, marks) {
  let frame = place.querySelector(".frame");
  if (!frame) {
    frame = made("span", { class: "frame" }, place);
    made("img", { alt: "" }, frame);
    frame.append(document.createElementNS(SVG, "svg"));
    frame.querySelector("svg").setAttribute("aria-hidden", "true");
    made("p", { class: "caption" }, place);
  }
  const image = frame.querySelector("img");
  if (image.getAttribute("src") !== picture.source) image.src = picture.source;
  image.width = picture.columns;
  image.height = picture.rows;
  image.alt = picture.text;
  place.querySelector(".caption").textContent = picture.text;
  showScale(place, picture.scale);
  place.dataset.rows = picture.rows;
  place.dataset.columns = picture.columns;
  const over = frame.querySelector("svg");
  over.setAttribute("viewBox", `0 0 ${picture.columns} ${picture.rows}`);
  over.replaceChildren();
  for (const kind of ["under", ""]) {
    (marks || []).forEach((mark, number) => {
      // a mark of a pixel or two is a circle around it, so that what it marks is seen
      const side = mark.right - mark.left;
      const small = side < picture.columns / 20;
      const room = small ? (picture.columns / 16 - side) / 2 : 0;
      drawn("rect", {
        x: mark.left - room, y: mark.top - room,
        width: mark.right - mark.left + 2 * room, height: mark.bottom - mark.top + 2 * room,
        class: kind || (number ? "" : "first"), rx: small ? picture.columns / 32 : 0,
      }, over);
    });
  }
}

// What the colours of a map mean: those from its lowest to its highest number, and both numbers.
function showScale(place, scale) {
  place.querySelector(".scale")?.remove();
  if (!scale) return;
  const bar = made("span", { class: "scale" });
  made("span", {}, bar, scale.low);
  made("img", { src: scale.source, alt: scale.text }, bar);
  made("span", {}, bar, scale.high);
  place.querySelector(".frame").after(bar);
}

function showTable(place, table) {
  const caption = place.querySelector("caption");
  place.replaceChildren();
  if (caption) place.append(caption);
  const head = made("tr", {}, made("thead", {}, place));
  table.heads.forEach((text) => made("th", { scope: "col" }, head, text));
  const body = made("tbody", {}, place);
  for (const row of table.rows) {
    const line = made("tr", {}, body);
    row.forEach((cell, number) => {
      if (typeof cell === "object") {
        const shown = made("td", { class: "number" }, line, cell.text);
        shown.dataset.number = cell.number;
      } else if (number) made("td", {}, line, cell);
      else made("th", { scope: "row" }, line, cell);
    });
  }
}

function showCurves(place, curves) {
  place.replaceChildren();
  const [name, line] = Object.entries(curves.lines)[0];
  const width = 320, height = 150, left = 56, bottom = 26;
  const chart = drawn("svg", {
    viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": curves.text,
  }, place);
  const most = Math.max(...line), last = Math.max(10, line.length - 1);
  const at = (step, value) => [
    left + (width - left - 10) * step / last, 10 + (height - bottom - 10) * (1 - value / (most || 1)),
  ];
  drawn("line", { x1: left, y1: at(0, 0)[1], x2: width, y2: at(0, 0)[1] }, chart);
  drawn("line", { x1: left, y1: at(0, most)[1], x2: left, y2: at(0, 0)[1] }, chart);
  drawn("text", { x: left - 10, y: at(0, most)[1] + 5, "text-anchor": "end" }, chart, curves.most);
  drawn("text", { x: left - 10, y: at(0, 0)[1] + 5, "text-anchor": "end" }, chart, "0");
  drawn("text", { x: left, y: height - 4 }, chart, "step 0");
  drawn("text", { x: width, y: height - 4, "text-anchor": "end" }, chart, `step ${last}`);
  drawn("polyline", { points: line.map((value, step) => at(step, value).join()).join(" ") }, chart);
  const [x, y] = at(line.length - 1, line[line.length - 1]);
  drawn("circle", { cx: x, cy: y, r: 4 }, chart);
}

function show(figure, answer) {
  for (const place of figure.querySelectorAll("[data-value]")) showValue(place, answer[place.dataset.value]);
  for (const place of figure.querySelectorAll("[data-link]")) {
    const link = answer[place.dataset.link];
    place.textContent = link.text;
    place.setAttribute("href", `#${link.place}`);
  }
  for (const place of figure.querySelectorAll("[data-picture]"))
    showPicture(place, answer[place.dataset.picture], answer[place.dataset.marks]);
  for (const place of figure.querySelectorAll("[data-table]")) showTable(place, answer[place.dataset.table]);
  for (const place of figure.querySelectorAll("[data-curves]")) showCurves(place, answer[place.dataset.curves]);
}

// ---- Asking ---------------------------------------------------------------------------------

function chosen(figure) {
  const given = {};
  for (const control of figure.querySelectorAll(".controls [name]")) {
    const number = control.type === "number" || control.type === "range" || control.dataset.kind === "number";
    given[control.name] = number ? Number(control.value) : control.value;
  }
  return given;
}

class Figure {
  constructor(element) {
    this.element = element;
    this.busy = false;
    this.again = false;
    this.step = 0;  // of a figure with steps: where its last answer is
    this.way = "";  // and what else was chosen there
    this.steps = element.querySelector("[data-steps]");
    for (const control of element.querySelectorAll(".controls [name], .controls [data-view]"))
      control.addEventListener("input", () => this.ask());
    const form = element.querySelector(".controls");
    if (form) form.addEventListener("submit", (event) => event.preventDefault());
    for (const button of element.querySelectorAll("[data-step]"))
      button.addEventListener("click", () => this.walk(Number(button.dataset.step)));
    if (!recorded) for (const place of element.querySelectorAll("[data-pick]")) this.letPick(place);
  }

  walk(steps) {
    const wanted = steps ? Math.floor(Number(this.steps.value)) + steps : 0;
    this.steps.value = Math.min(Number(this.steps.max), wanted);
    this.ask();
  }

  letPick(place) {
    const names = place.dataset.pick.split(" ");
    const inputs = names.map((name) => this.element.querySelector(`[name="${name}"]`));
    const pick = (event) => {
      const box = place.querySelector("img").getBoundingClientRect();
      const shares = [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
      const sizes = [Number(place.dataset.rows), Number(place.dataset.columns)];
      let moved = false;
      inputs.forEach((input, axis) => {
        const value = Math.max(0, Math.min(sizes[axis] - 1, Math.floor(shares[axis] * sizes[axis])));
        moved = moved || Number(input.value) !== value;
        input.value = value;
      });
      if (moved) this.ask();
    };
    place.addEventListener("pointermove", (event) => { if (event.target.closest(".frame")) pick(event); });
    place.addEventListener("pointerdown", (event) => { if (event.target.closest(".frame")) pick(event); });
  }

  // One question at a time: what was chosen meanwhile is asked when the answer is there.
  async ask() {
    for (const beside of this.element.querySelectorAll(".controls output"))
      beside.textContent = document.getElementById(beside.htmlFor.value).value;
    if (this.busy) { this.again = true; return; }
    this.busy = true;
    this.element.setAttribute("aria-busy", "true");
    do {
      this.again = false;
      await this.askOnce();
    } while (this.again);
    this.busy = false;
    this.element.setAttribute("aria-busy", "false");
  }

  async askOnce() {
    const trouble = this.element.querySelector(".trouble");
    try {
      show(this.element, await this.answer());
      trouble.hidden = true;
    } catch (error) {
      trouble.textContent = error.message;
      trouble.hidden = false;
    }
  }

  async answer() {
    const name = this.element.dataset.figure;
    if (recorded) {
      const view = this.element.querySelector("[data-view]");
      return recorded.figures[name][view ? Number(view.value) : 0].answer;
    }
    const given = chosen(this.element);
    // What is no possible step is asked as it stands, so that the refusal names it.
    if (this.steps?.validity.valid) return this.nextStep(name, given);
    return told("figure", { figure: name, given });
  }

  // Walked step by step, so that each answer is quick and each step is seen.
  async nextStep(name, given) {
    const wanted = given.step;
    const way = JSON.stringify({ ...given, step: 0 });
    const here = way === this.way ? this.step : 0;  // another way is walked from its start
    given.step = Math.min(wanted, here + 1);
    const found = await told("figure", { figure: name, given });
    this.way = way;
    this.step = given.step;
    this.again = this.again || given.step !== wanted;
    return found;
  }
}

const figures = [...document.querySelectorAll("figure[data-figure]")].map((element) => new Figure(element));
(async () => { for (const figure of figures) await figure.ask(); document.body.dataset.ready = "yes"; })();

// ---- Exercises ------------------------------------------------------------------------------

// Whether a choice is right, and why; null where there is nothing to predict.
async function verdictOf(key, choice) {
  if (!recorded) return told("exercise", { exercise: key, choice });
  const { right, because } = recorded.exercises[key];
  return { right: right === null ? null : right === choice, because };
}

for (const form of document.querySelectorAll("[data-exercise]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const taken = form.querySelector(":checked");
    const verdict = form.querySelector(".verdict");
    verdict.className = "verdict";
    if (!taken) { verdict.textContent = "Predict first: take one of the answers."; return; }
    try {
      const found = await verdictOf(form.dataset.exercise, Number(taken.value));
      if (found.right === null) { verdict.textContent = found.because; return; }
      verdict.textContent = (found.right ? "Yes. " : "No. ") + found.because;
      verdict.classList.add(found.right ? "right" : "wrong");
    } catch (error) { verdict.textContent = error.message; }
  });
}

// ---- A link to a line of source opens its function --------------------------------------------

function openTarget() {
  const target = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!target) return;
  const details = target.closest("details");
  if (details) { details.open = true; target.scrollIntoView({ block: "center" }); }
}
addEventListener("hashchange", openTarget);
openTarget();
