/* Training replay: the same 64 latents again and again as the generator learned, beside the curves of that time. */

const FRAMES_A_SECOND = 6;
const CHARTS = [
  { title: "Loss", low: 0, lines: { loss_g: "Generator", loss_d: "Discriminator" } },
  { title: "Discriminator's belief", low: 0, high: 1, lines: { d_real: "D(x), in reals", d_fake: "D(G(z)), in fakes" } },
];

function replayer(root, checkpoint, engine) {
  let frames = []; // images seen at each
  let blobs = []; // the frames as they arrive
  let charts = [];
  let position = 0; // in frames
  let drawn = -1;
  let speed = 1;

  const canvas = make("canvas", { className: "face grid", role: "img", "aria-label": "64 faces of the same latents during training" });
  const message = messageLine();
  const seen = make("output", { className: "seen" });
  const scrubber = slider("Moment of the training", { min: 0, max: 0, step: 1 }, (value) => {
    play.set(false);
    seek(value);
  });
  const play = player((seconds) => {
    const next = position + seconds * FRAMES_A_SECOND * speed;
    if (!blobs[Math.floor(next) % frames.length]) return; // not here yet
    if (next >= frames.length) play.set(false);
    seek(Math.min(next, frames.length - 1));
  });
  play.button.addEventListener("click", () => position >= frames.length - 1 && seek(0), { capture: true });
  const curves = make("section", { className: "sliders curves", "aria-label": "Curves" });

  root.replaceChildren(
    make("div", { className: "explorer" },
      make("section", { className: "portrait", "aria-label": "Frames" },
        canvas,
        message.element,
        make("div", { className: "bar" }, play.button, scrubber),
        make("div", { className: "bar" },
          seen,
          make("span", { className: "grow" }),
          choice("Speed", [[0.5, "½×"], [1, "1×"], [3, "3×"]], 1, (value) => (speed = value)))),
      curves),
  );

  async function open(summary) {
    play.set(false);
    checkpoint = summary;
    const name = summary.name;
    try {
      const course = await engine.replay(name);
      if (summary !== checkpoint) return;
      frames = course.frames;
      blobs = [];
      drawn = -1;
      drawCharts(course.curves);
      if (!frames.length) throw new Error("This checkpoint keeps no snapshots of its training.");
      scrubber.max = frames.length - 1;
      message.clear();
      seek(frames.length - 1);
      fetchAll(summary);
    } catch (error) {
      message.say(error.message);
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
        if (index === Math.floor(position)) show();
      } catch (error) {
        message.say(error.message);
      }
      await next();
    };
    for (let i = 0; i < 4; i++) next();
  }

  function seek(value) {
    if (!frames.length) return;
    position = value;
    const index = Math.floor(value);
    scrubber.value = index;
    scrubber.setAttribute("aria-valuetext", `${frames[index].toLocaleString("en")} images seen`);
    seen.value = `${frames[index].toLocaleString("en")} images seen`;
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
  }

  function drawCharts(values) {
    const end = Math.max(...frames, ...values.images_seen);
    charts = values.images_seen.length ? CHARTS.map((chart) => drawChart(chart, values, end)) : [];
    curves.replaceChildren(...charts.map((chart) => chart.element));
    if (!charts.length) curves.append(make("p", { className: "hint" }, "This checkpoint keeps no history of its training."));
  }

  /* One chart: its lines, a cursor, and the values at the cursor. Clicking it goes to that moment. */
  function drawChart({ title, low, high, lines }, values, end) {
    const at = values.images_seen;
    const known = Object.keys(lines).flatMap((key) => values[key]).filter((v) => v !== null);
    // A spike of a hundred would flatten all the rest.
    const top = high ?? Math.max(0.1, known.sort((a, b) => a - b)[Math.floor(known.length * 0.99)] * 1.1 || 1);
    const x = (images) => (100 * images) / end;
    const y = (value) => 100 - (100 * (Math.min(value, top) - low)) / (top - low);
    const plot = svg("svg", { viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img", "aria-label": `${title} over images seen` });
    const legend = make("div", { className: "legend" });
    const outputs = Object.entries(lines).map(([key, label], i) => {
      const points = at.map((images, j) => (values[key][j] === null ? "" : `${x(images).toFixed(2)},${y(values[key][j]).toFixed(2)}`));
      plot.append(svg("polyline", { points: points.join(" "), class: `line line${i}` }));
      const output = make("output", {});
      legend.append(make("span", { className: `key key${i}` }, label, " ", output));
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
    const axis = make("div", { className: "axis", "aria-hidden": "true" }, make("span", {}, "0"), make("span", {}, `${end.toLocaleString("en")} images seen`));
    return {
      element: make("figure", { className: "chart" },
        make("figcaption", {}, make("h2", {}, title), legend), make("div", { className: "plot" }, scale, plot, axis)),
      show: (images) => {
        cursor.setAttribute("x1", x(images));
        cursor.setAttribute("x2", x(images));
        for (const [key, output] of outputs) output.value = values[key][nearest(at, images)]?.toFixed(2) ?? "–";
      },
    };
  }

  function nearest(list, value) {
    let best = 0;
    list.forEach((v, i) => Math.abs(v - value) < Math.abs(list[best] - value) && (best = i));
    return best;
  }

  open(checkpoint);
  return { open };
}
