/* The sliders of Explore: each in a row with its name, value, reset and what its ends mean; and those of all numbers of a
   face, a hundred of them, of which the most effective are in view, or what a visitor looks for. */

import { button, choice, clamp, div, hint, iconButton, make, slider, t } from "./parts.js";

const FEW = 10; // numbers in view at first

/* of: {get() -> its value, put(value), clear(), edited() -> whether the visitor has set it}; settle(): a change is complete;
   ends: what the range's ends mean, if anything; rest: where it begins; name: what is shown of the title
   -> {element, show(value = the one that it has)} */
export function sliderRow(title, [low, high], of, settle, { ends = [], rest = 0, name = title } = {}) {
  const label = ends.length ? t("{name}, from {low} to {high}", { name: title, low: ends[0], high: ends[1] }) : title;
  const output = make("output");
  const input = slider(label, { min: low, max: high, step: 0.01 }, of.put, settle);
  const reset = iconButton("reset", t("Reset {name}", { name: title }), () => {
    of.clear();
    settle();
    input.focus();
  }, { className: "reset" });
  const element = div("row", make("span", { className: "name", title: label }, name), input, output, reset);
  if (ends.length) {
    element.append(make("div", { className: "ends", "aria-hidden": "true" }, ...ends.map((end) => make("span", {}, end))));
  }
  const mark = (name, value) => input.style.setProperty(name, (clamp(value, low, high) - low) / (high - low));
  mark("--zero", rest);
  let before = null;

  function show(value = of.get()) {
    const edited = of.edited();
    if (Number(input.value) !== value) input.value = value;
    if (before === `${value} ${edited}`) return; // in a drag, all but one of many
    before = `${value} ${edited}`;
    output.value = (Math.round(value * 100) / 100 || 0).toFixed(2); // never -0.00
    mark("--from", Math.min(rest, value));
    mark("--to", Math.max(rest, value));
    element.classList.toggle("edited", edited);
    reset.disabled = !edited;
  }

  show();
  return { element, show };
}

/* rowOf(dimension) -> what sliderRow makes -> {element, show(): the values, open(nz), rank(dimensions, the most
   effective first)} */
export function numberSliders(rowOf) {
  let [nz, ranking, rows] = [0, null, []];
  let [byEffect, allShown] = [true, false];
  const title = make("summary");
  const search = make("input", { type: "search", className: "number", placeholder: t("Number"), inputMode: "numeric",
    "aria-label": t("Search dimensions"), oninput: () => fill() });
  const searching = make("label", { className: "field grow" }, make("span", { className: "caption" }, t("Search")), search);
  const ordering = choice(t("Order"), [[true, t("Most effect")], [false, t("By number")]], byEffect, (value) => {
    byEffect = value;
    fill();
  });
  const list = div("rows");
  const more = button("", () => {
    allShown = !allShown;
    fill();
  });

  function fill() {
    const sorted = (byEffect && ranking) || [...Array(nz).keys()];
    const text = search.value.trim();
    const found = sorted.filter((dimension) => String(dimension).includes(text));
    rows = (text || allShown ? found : found.slice(0, FEW)).map(rowOf);
    list.replaceChildren(...rows.map((row) => row.element));
    if (!found.length) list.append(hint(t("No such dimension: they go from 0 to {last}", { last: nz - 1 })));
    more.hidden = Boolean(text) || nz <= FEW;
    more.textContent = allShown ? t("Show fewer") : t("Show all {n}", { n: nz });
  }

  return {
    element: make("details", {}, title, div("bar wrap", ordering, searching), list, more),
    show: () => rows.forEach((row) => row.show()),
    open: (count) => {
      [nz, ranking] = [count, null];
      title.textContent = t("All {n} numbers of this face", { n: nz });
      fill();
    },
    rank: (dimensions) => {
      ranking = dimensions;
      fill();
    },
  };
}
