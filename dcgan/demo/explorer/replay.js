/* Training replay: the same 64 latents again and again as the generator learned, beside the curves of that time.

   value: {checkpoint: name} */

import { linkedFace, openInExplore } from "./address.js";
import { ofCheckpoint } from "./engine.js";
import {
  button, choice, clamp, cut, div, figure, hint, largeFace, make, messageLine, paint, pickable, player, slider, svg, t,
} from "./parts.js";

const FRAMES_A_SECOND = 6;
const GRID = 8; // a frame is GRID x GRID faces
const CHARTS = [
  { title: "Loss", lines: { loss_g: "Generator", loss_d: "Discriminator" } },
  { title: "Discriminator's belief", high: 1, lines: { d_real: "D(x), in reals", d_fake: "D(G(z)), in fakes" } },
  { title: "Distance from reals, lower is better", lines: { ffd: "of face features", fd: "of random features" } },
];

export const mount = ofCheckpoint((root, engine, checkpoint) => {
  let frames = []; // images seen at each
  let pictures = []; // img elements, as they arrive
  let charts = [];
  let position = 0; // in frames
  let speed = 1;
  let followed = null; // the face that is shown large, if one is

  const canvas = figure("face", t("64 faces of the same latents during training"));
  const large = largeFace(t("The face that you follow"));
  large.element.hidden = true;
  const { element: grid, cells } = pickable(canvas, GRID, GRID, (index) => t("Follow face {n}", { n: index + 1 }), follow);
  const whole = button(t("Show all faces"), () => follow(null), { hidden: true });
  const mine = button(t("My own face at this moment"), () => {
    const moment = checkpoint.moments[nearest(checkpoint.moments, frames[Math.floor(position)])];
    openInExplore({ ...linkedFace(checkpoint.names), checkpoint: checkpoint.name, moment });
  });
  const message = messageLine();
  const seen = make("output", { className: "seen" });
  // Over the same axis as the charts: images seen, of which there are frames at a few.
  const scrubber = slider(t("Moment of the training"), { min: 0, max: 0, step: 1 }, (images) => jump(nearest(frames, images)));
  scrubber.onkeydown = ({ key }) => {
    const now = Math.floor(position);
    const last = frames.length - 1;
    const next = { ArrowRight: now + 1, ArrowUp: now + 1, ArrowLeft: now - 1, ArrowDown: now - 1, Home: 0, End: last }[key];
    if (next !== undefined) jump(clamp(next, 0, last));
    return next === undefined;
  };
  const play = player((seconds) => {
    const next = position + seconds * FRAMES_A_SECOND * speed;
    if (!pictures[Math.floor(next) % frames.length].complete) return; // not here yet
    if (next >= frames.length) play.set(false);
    seek(Math.min(next, frames.length - 1));
  });
  play.button.addEventListener("click", () => position >= frames.length - 1 && seek(0), { capture: true });
  const curves = div("curves");
  const axis = div("axis");
  const pace = choice(t("Speed"), [[0.5, "½×"], [1, "1×"], [3, "3×"]], speed, (value) => (speed = value));
  const timeline = div("", div("bar", play.button, div("grow"), pace),
    div("plot", div("track", scrubber), axis));
  const faces = div("frames", grid, large.element);
  const below = div("", div("bar wrap", seen, div("grow"), whole, mine), hint(t("Click a face to follow it large.")));

  root.replaceChildren(div("explorer",
    make("section", { className: "portrait", "aria-label": t("Frames") }, faces, message.element, below),
    make("section", { className: "sliders", "aria-label": t("Course of the training") }, timeline, curves)));

  function follow(index) {
    followed = index;
    [large.element.hidden, grid.hidden, whole.hidden] = [index === null, index !== null, index === null];
    show();
    if (index === null) cells.find((cell) => cell.tabIndex === 0).focus();
    else whole.focus();
  }

  async function open(summary) {
    play.set(false);
    checkpoint = summary;
    const course = await engine.replay(summary.name);
    frames = course.frames;
    // The last one first, since it is the one shown.
    pictures = course.pictures.map(() => new Image());
    for (const index of [frames.length - 1, ...frames.keys()].slice(0, frames.length)) {
      pictures[index].onload = () => summary === checkpoint && index === Math.floor(position) && show();
      pictures[index].src = course.pictures[index];
    }
    mine.hidden = !summary.moments.length;
    faces.hidden = below.hidden = timeline.hidden = !frames.length;
    message.say(frames.length ? "" : t("This checkpoint keeps no snapshots of its training."));
    drawCharts(course.curves);
    if (frames.length) seek(frames.length - 1);
  }

  function jump(index) {
    play.set(false);
    seek(index);
  }

  function seek(value) {
    position = value;
    const images = frames[Math.floor(value)];
    scrubber.value = images;
    seen.value = t("{n} images seen", { n: images.toLocaleString("en") });
    scrubber.setAttribute("aria-valuetext", seen.value);
    for (const chart of charts) chart.show(images);
    show();
  }

  function show() {
    const index = Math.floor(position);
    const picture = pictures[index];
    if (!picture.complete || !picture.naturalWidth) return;
    paint(canvas, picture);
    canvas.dataset.shown = `${checkpoint.name} ${index}`;
    if (followed === null) return;
    cut(canvas, GRID, followed, large.canvas);
    large.show();
    large.canvas.dataset.shown = `${canvas.dataset.shown} ${followed}`;
  }

  function drawCharts(values) {
    const end = Math.max(1, ...frames, ...values.images_seen);
    scrubber.max = end;
    axis.replaceChildren(make("span", {}, "0"), make("span", {}, t("{n} images seen", { n: end.toLocaleString("en") })));
    charts = CHARTS.map((chart) => drawChart(chart, values, end)).filter(Boolean);
    curves.replaceChildren(...charts.map((chart) => chart.element));
    if (!charts.length) curves.append(hint(t("This checkpoint keeps no history of its training.")));
  }

  /* One chart: its lines, a cursor, and the values at the cursor; none if nothing of it was measured. Clicking it goes
     to that moment. */
  function drawChart({ title, high, lines }, values, end) {
    const measured = (key) =>
      values.images_seen.map((images, i) => [images, values[key][i]]).filter(([, value]) => value !== null);
    const there = Object.entries(lines).map(([key, label]) => [label, measured(key)]).filter(([, points]) => points.length);
    if (!there.length) return null;
    const known = there.flatMap(([, points]) => points.map(([, value]) => value)).sort((a, b) => a - b);
    // A spike of a hundred would flatten all the rest.
    const top = high ?? Math.max(0.1, known[Math.floor(known.length * 0.99)] * 1.1);
    const x = (images) => (100 * images) / end;
    const y = (value) => 100 - (100 * Math.min(value, top)) / top;
    const name = t("{title} over images seen", { title: t(title) });
    const plot = svg("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img", "aria-label": name });
    const legend = div("legend");
    const readings = there.map(([label, points], i) => {
      const corners = points.map(([images, value]) => `${x(images).toFixed(2)},${y(value).toFixed(2)}`);
      plot.append(svg("polyline", { points: corners.join(" "), class: `line line${i}` }));
      const output = make("output");
      legend.append(make("span", { className: `key key${i}` }, t(label), " ", output));
      const moments = points.map(([images]) => images); // of metrics there are only a few
      return (images) => (output.value = points[nearest(moments, images)][1].toFixed(2));
    });
    const cursor = svg("line", { y1: 0, y2: 100, class: "cursor" });
    plot.append(cursor);
    plot.onclick = ({ offsetX }) => frames.length && jump(nearest(frames, (offsetX / plot.clientWidth) * end));
    const scale = div("scale", make("span", {}, top.toFixed(top < 100 ? 1 : 0)), make("span", {}, 0));
    return {
      element: make("figure", { className: "chart" },
        make("figcaption", {}, make("h2", {}, t(title)), legend), div("plot", scale, plot)),
      show: (images) => {
        cursor.setAttribute("x1", x(images));
        cursor.setAttribute("x2", x(images));
        for (const read of readings) read(images);
      },
    };
  }

  function nearest(list, value) {
    return list.reduce((best, one, i) => (Math.abs(one - value) < Math.abs(list[best] - value) ? i : best), 0);
  }

  open(checkpoint);
  return open;
});
