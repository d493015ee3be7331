/* Interpolate: the way from one face to another, as a strip and as a loop. One sheet holds every frame. */

const STRIP = 9; // faces in the strip
const LOOP = 4; // seconds there and back

function interpolator(root, checkpoint, engine) {
  let way = { checkpoint: checkpoint.name, a: randomSeed(), b: randomSeed(), kind: "spherical", frames: 32 };
  let sheet = null;
  let position = 0; // 0 is face A, 1 is face B
  let direction = 1;

  const canvas = make("canvas", { className: "face", role: "img", "aria-label": "Face on the way from A to B" });
  const strip = make("div", { className: "strip", role: "group", "aria-label": "Strip from A to B" });
  const message = messageLine();
  const scrubber = slider("Position between A and B", { min: 0, max: 1, step: 0.001 }, (value) => {
    play.set(false);
    seek(value);
  });
  const play = player((seconds) => {
    const next = position + (direction * seconds * 2) / LOOP;
    if (next <= 0 || next >= 1) direction = next <= 0 ? 1 : -1;
    seek(Math.min(1, Math.max(0, next)));
  });
  const count = make("output", {});
  const frames = slider("Frames", { min: 8, max: 64, step: 4 }, (value) => change({ frames: value }));

  const load = latest(
    (wanted) => engine.path(wanted),
    (loaded, shown) => {
      sheet = loaded;
      canvas.width = canvas.height = sheet.sheet.width / sheet.columns;
      canvas.dataset.shown = `${shown.checkpoint} ${shown.a} ${shown.b} ${shown.kind} ${shown.frames}`;
      fillStrip();
      seek(position);
      message.clear();
    },
    (error) => message.say(error.message),
  );

  const download = (format, label) => {
    const self = button(label, async () => {
      self.disabled = true;
      try {
        save(await engine.animation(way, format, LOOP), `${way.checkpoint}-${way.a}-to-${way.b}.${format}`);
        message.clear();
      } catch (error) {
        message.say(error.message);
      }
      self.disabled = false;
    });
    return self;
  };

  root.replaceChildren(
    make("div", { className: "explorer" },
      make("section", { className: "portrait", "aria-label": "Loop" },
        canvas,
        message.element,
        make("div", { className: "bar" }, play.button, scrubber)),
      make("section", { className: "sliders", "aria-label": "Way" },
        make("div", { className: "bar wrap" },
          seedField("Face A", way.a, (a) => change({ a })).element,
          seedField("Face B", way.b, (b) => change({ b })).element),
        make("div", { className: "bar wrap" },
          choice("Path", [["spherical", "Spherical"], ["linear", "Linear"]], way.kind, (kind) => change({ kind })),
          make("div", { className: "field grow" }, make("div", { className: "caption" }, "Frames", count), frames)),
        make("p", { className: "hint" },
          "A straight line between two latents cuts through a region the generator seldom saw in training; the spherical path goes around it."),
        make("h2", {}, "The way in nine steps"),
        strip,
        make("div", { className: "bar wrap" }, download("gif", "Download GIF"), download("webp", "Download WebP")))),
  );

  function change(part) {
    way = { ...way, ...part };
    frames.value = way.frames;
    count.value = way.frames;
    load(way);
  }

  /* Between two frames of the sheet both are blended: a few frames make a smooth loop. */
  function seek(value) {
    position = value;
    scrubber.value = value;
    if (!sheet) return;
    const at = value * (sheet.count - 1);
    const first = Math.min(Math.floor(at), sheet.count - 2);
    const context = canvas.getContext("2d");
    context.globalAlpha = 1;
    drawFrame(context, first);
    context.globalAlpha = at - first;
    drawFrame(context, first + 1);
    canvas.dataset.position = value.toFixed(3);
  }

  function drawFrame(context, index) {
    const size = canvas.width;
    const x = (index % sheet.columns) * size;
    const y = Math.floor(index / sheet.columns) * size;
    context.drawImage(sheet.sheet, x, y, size, size, 0, 0, size, size);
  }

  function fillStrip() {
    strip.replaceChildren(...Array.from({ length: STRIP }, (_, i) => {
      const part = i / (STRIP - 1);
      const small = make("canvas", { width: canvas.width, height: canvas.height });
      drawFrame(small.getContext("2d"), Math.round(part * (sheet.count - 1)));
      const show = () => {
        play.set(false);
        seek(part);
      };
      return make("button", { type: "button", onclick: show, "aria-label": `Show the face at ${Math.round(part * 100)}%` }, small);
    }));
  }

  change({});
  if (!prefersStillness()) play.set(true);
  return { open: (summary) => change({ checkpoint: summary.name }) };
}
