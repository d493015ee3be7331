/* Training replay: the same 64 latents again and again as the generator learned, beside the curves of that time. */

import { linkedFace, openInExplore } from "./address.js";
import { engineOf } from "./engine.js";
import { button, choice, make, messageLine, pickable, player, slider, svg, t } from "./parts.js";
import { whenAnswering } from "./server.js";

const FRAMES_A_SECOND = 6;
const GRID = 8; // a frame is GRID x GRID faces
const CHARTS = [
  { title: "Loss", low: 0, lines: { loss_g: "Generator", loss_d: "Discriminator" } },
  { title: "Discriminator's belief", low: 0, high: 1, lines: { d_real: "D(x), in reals", d_fake: "D(G(z)), in fakes" } },
  { title: "Distance from reals, lower is better", low: 0, lines: { ffd: "of face features", fd: "of random features" } },
];

/* value: {checkpoint: name} */
export async function mount(root, gradio) {
  const engine = engineOf(gradio.server);
  return replayer(root, engine, await engine.open(gradio.value.checkpoint));
}

function replayer(root, engine, checkpoint) {
  let frames = []; // images seen at each
  let blobs = []; // the frames as they arrive
  let charts = [];
  let position = 0; // in frames
  let drawn = -1;
  let speed = 1;
  let followed = null; // the face that is shown large, if one is

  const canvas = make("canvas", { className: "face grid", role: "img", "aria-label": t("64 faces of the same latents during training") });
  const large = make("canvas", { className: "face large", role: "img", "aria-label": t("The face that you follow") });
  const grid = pickable(canvas, GRID, GRID, (index) => t("Follow face {n}", { n: index + 1 }), (index) => follow(index));
  const whole = button(t("Show all faces"), () => follow(null));
  const mine = button(t("My own face at this moment"), () => {
    const moment = checkpoint.moments[nearest(checkpoint.moments, frames[Math.floor(position)])];
    openInExplore({ ...linkedFace(checkpoint.names), checkpoint: checkpoint.name, moment });
  });
  const message = messageLine();
  const seen = make("output", { className: "seen" });
  // Over the same axis as the charts: images seen, of which there are frames at a few.
  const scrubber = slider(t("Moment of the training"), { min: 0, max: 0, step: 1 }, (images) => {
    play.set(false);
    seek(nearest(frames, images));
  });
  scrubber.onkeydown = ({ key }) => {
    const now = Math.floor(position);
    const next = { ArrowRight: now + 1, ArrowUp: now + 1, ArrowLeft: now - 1, ArrowDown: now - 1, Home: 0, End: frames.length - 1 }[key];
    if (next === undefined) return true;
    play.set(false);
    seek(Math.max(0, Math.min(frames.length - 1, next)));
    return false;
  };
  const play = player((seconds) => {
    const next = position + seconds * FRAMES_A_SECOND * speed;
    if (blobs[Math.floor(next) % frames.length] === undefined) return; // not here yet
    if (next >= frames.length) play.set(false);
    seek(Math.min(next, frames.length - 1));
  });
  play.button.addEventListener("click", () => position >= frames.length - 1 && seek(0), { capture: true });
  const curves = make("div", { className: "curves" });
  const axis = make("div", { className: "axis", "aria-hidden": "true" });

  root.replaceChildren(
    make("div", { className: "explorer" },
      make("section", { className: "portrait", "aria-label": t("Frames") },
        grid,
        large,
        message.element,
        make("div", { className: "bar wrap" }, seen, make("span", { className: "grow" }), whole, mine),
        make("p", { className: "hint" }, t("Click a face to follow it large."))),
      make("section", { className: "sliders", "aria-label": t("Course of the training") },
        make("div", { className: "bar" }, play.button, make("span", { className: "grow" }),
          choice(t("Speed"), [[0.5, "½×"], [1, "1×"], [3, "3×"]], 1, (value) => (speed = value))),
        make("div", { className: "plot time" }, make("div", { className: "track" }, scrubber), axis),
        curves)),
  );

  function follow(index) {
    followed = index;
    [large.hidden, grid.hidden, whole.hidden] = [index === null, index !== null, index === null];
    paintLarge();
    if (index === null) grid.querySelector("[tabindex='0']").focus();
    else whole.focus();
  }

  function paintLarge() {
    if (followed === null || !canvas.width) return;
    const size = canvas.width / GRID;
    large.width = large.height = size;
    large.getContext("2d").drawImage(canvas, (followed % GRID) * size, Math.floor(followed / GRID) * size, size, size, 0, 0, size, size);
    large.dataset.shown = `${canvas.dataset.shown} ${followed}`;
  }

  [large.hidden, whole.hidden] = [true, true];

  async function open(summary) {
    play.set(false);
    checkpoint = summary;
    const name = summary.name;
    mine.hidden = !summary.moments.length;
    try {
      const course = await engine.replay(name);
      if (summary !== checkpoint) return;
      frames = course.frames;
      blobs = [];
      drawn = -1;
      drawCharts(course.curves);
      if (!frames.length) throw new Error(t("This checkpoint keeps no snapshots of its training."));
      message.clear();
      seek(frames.length - 1);
      fetchAll(summary);
    } catch (error) {
      message.say(error.message);
      whenAnswering(() => summary === checkpoint && open(summary));
    }
  }

  /* The last frame first, since it is the one shown; then from the beginning, four at a time. */
  function fetchAll(summary) {
    const waiting = [frames.length - 1, ...frames.keys()].slice(0, frames.length);
    const next = async () => {
      const index = waiting.shift();
      if (index === undefined || summary !== checkpoint) return;
      try {
        const blob = await engine.snapshot(summary.name, index);
        if (summary !== checkpoint) return;
        blobs[index] = blob;
        message.clear();
        if (index === Math.floor(position)) show();
      } catch (error) {
        message.say(error.message);
        blobs[index] = null; // to be passed over
        whenAnswering(() => {
          waiting.push(index);
          next();
        });
      }
      await next();
    };
    for (let i = 0; i < 4; i++) next();
  }

  function seek(value) {
    if (!frames.length) return;
    position = value;
    const index = Math.floor(value);
    scrubber.value = frames[index];
    const moment = t("{n} images seen", { n: frames[index].toLocaleString("en") });
    scrubber.setAttribute("aria-valuetext", moment);
    seen.value = moment;
    for (const chart of charts) chart.show(frames[index]);
    show();
  }

  async function show() {
    const index = Math.floor(position);
    const blob = blobs[index];
    if (!blob || index === drawn) return;
    drawn = index;
    const bitmap = await createImageBitmap(blob);
    if (index !== drawn) return;
    canvas.width = bitmap.width;
    canvas.height = bitmap.height;
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    canvas.dataset.shown = `${checkpoint.name} ${index}`;
    paintLarge();
  }

  function drawCharts(values) {
    const end = Math.max(0, ...frames, ...values.images_seen);
    scrubber.max = end;
    axis.replaceChildren(make("span", {}, "0"), make("span", {}, t("{n} images seen", { n: end.toLocaleString("en") })));
    charts = CHARTS.map((chart) => drawChart(chart, values, end)).filter(Boolean);
    curves.replaceChildren(...charts.map((chart) => chart.element));
    if (!charts.length) curves.append(make("p", { className: "hint" }, t("This checkpoint keeps no history of its training.")));
  }

  /* One chart: its lines, a cursor, and the values at the cursor; none if nothing of it was measured. Clicking it goes
     to that moment. */
  function drawChart({ title, low, high, lines }, values, end) {
    const at = values.images_seen;
    const there = Object.entries(lines).filter(([key]) => values[key].some((value) => value !== null));
    const known = there.flatMap(([key]) => values[key]).filter((value) => value !== null);
    if (!known.length) return null;
    // A spike of a hundred would flatten all the rest.
    const top = high ?? Math.max(0.1, known.sort((a, b) => a - b)[Math.floor(known.length * 0.99)] * 1.1 || 1);
    const x = (images) => (100 * images) / end;
    const y = (value) => 100 - (100 * (Math.min(value, top) - low)) / (top - low);
    const plot = svg("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img", "aria-label": t("{title} over images seen", { title: t(title) }) });
    const legend = make("div", { className: "legend" });
    const outputs = there.map(([key, label], i) => {
      const points = at.map((images, j) => (values[key][j] === null ? "" : `${x(images).toFixed(2)},${y(values[key][j]).toFixed(2)}`));
      plot.append(svg("polyline", { points: points.filter(Boolean).join(" "), class: `line line${i}` }));
      const output = make("output", {});
      legend.append(make("span", { className: `key key${i}` }, t(label), " ", output));
      return [key, output];
    });
    const cursor = svg("line", { y1: 0, y2: 100, class: "cursor" });
    plot.append(cursor);
    plot.onclick = ({ offsetX }) => {
      const images = (offsetX / plot.clientWidth) * end;
      play.set(false);
      seek(nearest(frames, images));
    };
    const scale = make("div", { className: "scale", "aria-hidden": "true" }, make("span", {}, top.toFixed(1)), make("span", {}, String(low)));
    return {
      element: make("figure", { className: "chart" },
        make("figcaption", {}, make("h2", {}, t(title)), legend), make("div", { className: "plot" }, scale, plot)),
      show: (images) => {
        cursor.setAttribute("x1", x(images));
        cursor.setAttribute("x2", x(images));
        for (const [key, output] of outputs) output.value = measured(values[key], at, images)?.toFixed(2) ?? "–";
      },
    };
  }

  /* The value measured nearest to a moment: metrics are taken only now and then. */
  function measured(list, at, images) {
    const taken = [...list.keys()].filter((i) => list[i] !== null);
    return list[taken[nearest(taken.map((i) => at[i]), images)]];
  }

  function nearest(list, value) {
    let best = 0;
    list.forEach((v, i) => Math.abs(v - value) < Math.abs(list[best] - value) && (best = i));
    return best;
  }

  open(checkpoint);
  return { open: async ({ checkpoint: name }) => open(await engine.open(name)) };
}
