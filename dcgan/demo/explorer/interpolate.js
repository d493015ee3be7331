/* Interpolate: the way through two to eight faces. One sheet holds every frame, so that scrubbing draws none.

   value: {checkpoint: name}; server, where there is one: animation({...way, format, seconds}) -> address of the file */

import { linkedFace } from "./address.js";
import { latest, ofCheckpoint } from "./engine.js";
import {
  button, captioned, cell, choice, clamp, cut, div, hint, iconButton, largeFace, make, messageLine, player,
  prefersStillness, randomSeed, save, seedField, slider, someSeeds, t, thumb,
} from "./parts.js";

const MAX_STOPS = 8;

export const mount = ofCheckpoint((root, engine, checkpoint, server) => {
  const someone = (seed) => ({ seed, truncation: 1, edits: {}, directions: {}, walk: [] });
  let way = { checkpoint: checkpoint.name, faces: someSeeds(2, checkpoint.seeds).map(someone), kind: "spherical", frames: 16, loop: false };
  let shown = null; // the way that the sheet holds, and the sheet
  let position = 0; // 0 is the first face, 1 is the last, or with a loop the first again
  let direction = 1;
  let speed = 1; // legs in two seconds

  const large = largeFace(t("Face on the way"));
  const { canvas } = large;
  const stops = make("div", { className: "stops", role: "group", "aria-label": t("Faces on the way") });
  const message = messageLine();
  const scrubber = slider(t("Position on the way"), { min: 0, max: 1, step: 0.001 }, (value) => {
    play.set(false);
    seek(value);
  });
  const play = player((seconds) => {
    const next = position + (direction * seconds) / duration();
    if (way.loop) return seek(next - Math.floor(next));
    if (next <= 0 || next >= 1) direction = next <= 0 ? 1 : -1;
    seek(clamp(next, 0, 1));
  });
  const count = make("output");
  const frames = slider(t("Frames between two faces"), { min: 4, max: 32, step: 4 }, (value) => change({ frames: value }));
  const add = button(t("Add a face"), () => change({ faces: [...way.faces, someone(randomSeed())] }));
  const addCurrent = button(t("Add the face of Explore"), () => {
    const linked = linkedFace(checkpoint.names);
    if (linked?.checkpoint !== way.checkpoint) return message.say(t("Open a face of this checkpoint in Explore first."));
    const { checkpoint: _, moment: __, ...face } = linked; // the way is drawn by the finished generator
    change({ faces: [...way.faces, face] });
  });

  const legs = ({ faces, loop }) => faces.length - (loop ? 0 : 1);
  const duration = () => (2 * legs(way)) / speed; // seconds from 0 to 1
  // Every face of the chain is a frame itself.
  const request = (wanted) => ({ ...wanted, frames: legs(wanted) * wanted.frames + (wanted.loop ? 0 : 1) });

  const load = latest(
    (wanted) => engine.path(request(wanted)),
    (loaded, wanted) => {
      shown?.sheet.close();
      shown = { ...wanted, ...loaded };
      canvas.width = canvas.height = loaded.sheet.width / loaded.columns;
      const seeds = wanted.faces.map((face) => face.seed).join(" ");
      canvas.dataset.shown = `${wanted.checkpoint} ${seeds} ${wanted.kind}${wanted.loop ? " loop" : ""} ${loaded.count}`;
      fillStops();
      seek(position);
      message.say("");
    },
    (error) => message.say(error.message),
  );

  const download = (format, label) => {
    const self = button(label, async () => {
      self.disabled = true;
      await message.attempt(async () => {
        const seconds = duration() * (way.loop ? 1 : 2);
        const file = await server.animation({ ...request(way), format, seconds });
        save(await (await fetch(file)).blob(), `${way.checkpoint}-${way.faces.map((face) => face.seed).join("-")}.${format}`);
      });
      self.disabled = false;
    });
    return self;
  };

  root.replaceChildren(div("explorer",
    make("section", { className: "portrait", "aria-label": t("Animation") },
      large.element, message.element, div("bar", play.button, scrubber)),
    make("section", { className: "sliders", "aria-label": t("Way") },
      make("h2", {}, t("Faces on the way")),
      stops,
      div("bar wrap", add, addCurrent),
      div("bar wrap",
        choice(t("Path"), [["spherical", t("Curved")], ["linear", t("Straight")]], way.kind, (kind) => change({ kind })),
        choice(t("End"), [[false, t("There and back")], [true, t("Loop")]], false, (loop) => change({ loop })),
        choice(t("Speed"), [[0.5, "½×"], [1, "1×"], [2, "2×"]], speed, (value) => (speed = value))),
      hint(t("The curved way passes through likely faces only; the straight one cuts across faces that the generator seldom practised.")),
      captioned(t("Frames between two faces"), count, frames),
      make("div", { className: "bar wrap", hidden: !server.animation },
        download("gif", t("Download GIF")), download("webp", t("Download WebP")), download("mp4", t("Download MP4"))))));

  function change(part) {
    way = { ...way, ...part };
    frames.value = way.frames;
    count.value = way.frames;
    add.disabled = addCurrent.disabled = way.faces.length >= MAX_STOPS;
    load(way);
  }

  /* Between two frames of the sheet both are blended: a few frames make a smooth loop. */
  function seek(value) {
    position = value;
    scrubber.value = value;
    if (!shown) return;
    const at = value * (shown.loop ? shown.count : shown.count - 1);
    const first = Math.min(Math.floor(at), shown.count - (shown.loop ? 1 : 2));
    const context = canvas.getContext("2d");
    for (const [frame, weight] of [[first, 1], [(first + 1) % shown.count, at - first]]) {
      context.globalAlpha = weight;
      context.drawImage(...cell(shown.sheet, shown.columns, frame), 0, 0, canvas.width, canvas.height);
    }
    large.show();
    canvas.dataset.position = value.toFixed(3);
  }

  function fillStops() {
    const { faces, sheet, columns } = shown;
    stops.replaceChildren(...faces.map((face, i) => {
      const name = t("Face {n}", { n: i + 1 });
      const others = (part) => faces.map((other, j) => (j === i ? part : other));
      const go = thumb(cut(sheet, columns, i * shown.frames), t("Show face {n}", { n: i + 1 }), () => {
        play.set(false);
        seek(i / legs(shown));
      });
      const leaveOut = () => change({ faces: faces.filter((_, j) => j !== i) });
      const remove = iconButton("close", t("Remove face {n}", { n: i + 1 }), leaveOut, { disabled: faces.length <= 2 });
      const field = seedField(name, face.origin ? "" : face.seed, (seed) => change({ faces: others(someone(seed)) }));
      field.element.append(remove);
      return div("stop", go, field.element);
    }));
  }

  change({});
  if (!prefersStillness()) play.set(true);
  return (summary) => {
    checkpoint = summary;
    change({ checkpoint: summary.name, faces: way.faces.map(({ seed }) => someone(seed)) });
  };
});
