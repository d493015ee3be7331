/* Interpolate: the way through two to eight faces. One sheet holds every frame, so that scrubbing draws none.

   value: {checkpoint: name}; server, where there is one: animation({...way, format, seconds}) -> address of the file. Where
   there is none the browser makes them. */

import { link, linkedFace } from "./address.js";
import { film, filmKind, gif } from "./animation.js";
import { latest, ofCheckpoint } from "./engine.js";
import {
  button, captionedSlider, cell, choice, clamp, cut, div, hint, iconButton, largeFace, make, messageLine, paint, player,
  prefersStillness, randomSeed, save, seedField, slider, someSeeds, t, thumb,
} from "./parts.js";
import { packetOf } from "./provenance.js";

const MAX_STOPS = 8;
const NAMES = { gif: "GIF", webp: "WebP", mp4: "MP4", webm: "WebM" };

export const mount = ofCheckpoint((root, engine, checkpoint, server) => {
  const someone = (seed) => ({ seed });
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
  const frames = captionedSlider(t("Frames between two faces"), { min: 4, max: 32, step: 4 }, (value) => change({ frames: value }));
  const add = button(t("Add a face"), () => change({ faces: [...way.faces, someone(randomSeed())] }));
  const addCurrent = button(t("Add the face of Explore"), () => {
    const linked = linkedFace(checkpoint.names);
    if (linked?.checkpoint !== way.checkpoint) return message.say(t("Open a face of this checkpoint in Explore first."));
    const { checkpoint: _, moment: __, units: ___, ...face } = linked; // the way is drawn by the finished generator as it is
    change({ faces: [...way.faces, face] });
  });

  const formats = server.animation ? ["gif", "webp", "mp4"] : ["gif", filmKind].filter(Boolean);
  const legs = ({ faces, loop }) => faces.length - (loop ? 0 : 1);
  const duration = () => (2 * legs(way)) / speed; // seconds from 0 to 1
  // Every face of the chain is a frame itself.
  const request = (wanted) => ({ ...wanted, frames: legs(wanted) * wanted.frames + (wanted.loop ? 0 : 1) });
  const drawn = async (wanted) => ({ ...wanted, ...(await engine.path(request(wanted))) }); // a way with its sheet

  const load = latest(drawn, (loaded) => {
    shown?.sheet.close();
    shown = loaded;
    const seeds = shown.faces.map((face) => face.seed).join(" ");
    canvas.dataset.shown = `${shown.checkpoint} ${seeds} ${shown.kind}${shown.loop ? " loop" : ""} ${shown.count}`;
    fillStops();
    seek(position);
    message.say("");
  }, message.fail);

  const download = (format) => button(t(`Download ${NAMES[format]}`), async ({ target }) => {
    target.disabled = true;
    await message.attempt(async () => {
      const [wanted, seconds] = [way, duration() * (way.loop ? 1 : 2)];
      const file = server.animation && (await server.animation({ ...request(wanted), format, seconds }));
      const animation = file ? await (await fetch(file)).blob() : await animated(wanted, format, seconds);
      save(animation, `${wanted.checkpoint}-${wanted.faces.map((face) => face.seed).join("-")}.${format}`);
    });
    target.disabled = false;
  });

  /* The same without a server, once there and back or round; the page goes on meanwhile. */
  async function animated(wanted, format, seconds) {
    const packet = packetOf(checkpoint.marks, link({ checkpoint: wanted.checkpoint, ...wanted.faces[0] }));
    const whole = await drawn(wanted);
    const picture = largeFace("");
    if (format !== "gif") {
      const show = (part) => paintAt(picture, whole, whole.loop ? part : 1 - Math.abs(2 * part - 1));
      return film(picture.above, show, seconds, packet);
    }
    const frames = [...Array(whole.count).keys()];
    const sheet = make("canvas");
    paint(sheet, whole.sheet);
    const pixels = (one) => one.getContext("2d").getImageData(0, 0, one.width, one.height);
    const frame = (i) => {
      paintAt(picture, whole, i / (whole.count - (whole.loop ? 0 : 1)));
      return pixels(picture.above);
    };
    return gif(frame, whole.loop ? frames : [...frames, ...frames.slice(1, -1).reverse()], seconds, pixels(sheet), packet);
  }

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
      frames.element,
      div("bar wrap", ...formats.map(download)))));

  function change(part) {
    way = { ...way, ...part };
    frames.set(way.frames, way.frames);
    add.disabled = addCurrent.disabled = way.faces.length >= MAX_STOPS;
    load(way);
  }

  function seek(value) {
    position = value;
    scrubber.value = value;
    if (!shown) return;
    paintAt(large, shown, value);
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

/* Show a position, 0 to 1, on a way with its sheet. Between two frames both are blended: a few make a smooth loop. */
function paintAt({ canvas, show }, { sheet, columns, count, loop }, position) {
  const at = position * (loop ? count : count - 1);
  const first = Math.min(Math.floor(at), count - (loop ? 1 : 2));
  const context = canvas.getContext("2d");
  if (canvas.width !== sheet.width / columns) canvas.width = canvas.height = sheet.width / columns;
  for (const [frame, weight] of [[first, 1], [(first + 1) % count, at - first]]) {
    context.globalAlpha = weight;
    context.drawImage(...cell(sheet, columns, frame), 0, 0, canvas.width, canvas.height);
  }
  show();
}
