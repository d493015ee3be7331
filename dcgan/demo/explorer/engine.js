/* What draws the faces of all components of a page: a worker in the browser and, until that has its weights or where it
   cannot run, the server. A face is what address.js describes, the rest as in PLAIN; where several are taken, all are of
   one moment, and a seed may stand for a face. `checkpoint` is a name.

   ready                        -> when the worker has the first checkpoint's weights; rejected where it cannot draw
   status                       an element that says why the server has to draw, or is waited for
   open(checkpoint)             -> its summary, as checkpoint.json has it; "": of the first one
   face(face)                   -> {picture: ImageBitmap}
   sheet(checkpoint, faces, columns) -> ImageBitmap of faces row by row
   path({checkpoint, faces, kind, frames, loop}) -> {sheet: ImageBitmap of the faces on the way, columns, count}
   latents(checkpoint, faces)   -> [z]
   ranking(checkpoint)          -> [nz] dimensions, the most effective first
   signal(checkpoint)           -> [nz][nz] how far the latents with a trait lie from those without, as a covariance
   inside(face)                 -> [{channels: [number], maps: ImageData of these in a row} of each layer of the generator]
   judge(checkpoint, pictures)  -> the discriminator's logits of canvases of faces; null where there is none
   rivals(checkpoint)           -> {logits of other pictures, among: "reals" or "fakes"}
   replay(checkpoint)           -> {frames: [images seen], pictures: [address of each], curves: {name: [value]}}
   reals(checkpoint)            -> {sheet: ImageBitmap of real images, eight in a row, count, note: a sentence}, or null

   A refusal is an Error whose message is for the visitor. */

import { PLAIN } from "./address.js";
import { faceLatent, latentPath } from "./latents.js";
import { startPainter } from "./painter.js";
import { bitmap, messageLine, t } from "./parts.js";
import { asking, lookOut, whenAnswering } from "./server.js";

const COLUMNS = 8; // of a path's sheet
const MOST = 64; // faces that the server draws at once
const SETTLED = 10_000; // milliseconds after which a page was whole
const SURVEYED = 8; // faces by which a layer's channels are chosen
const CHANNELS = 10; // of each layer
const QUICK = 24; // milliseconds
const PATIENCE = 1500; // milliseconds after the page's start in which faces wait for the weights

let shared = null;

/* The engine of the page. server: server functions of the first component that asks (tabs/component.py), if there are any. */
export const engineOf = (server) => (shared ??= createEngine(asking(server)));

/* The mount() of a component that shows a checkpoint. build(root, engine, checkpoint's summary, server, trigger) returns
   a function that takes the summary of each checkpoint that is chosen later. */
export const ofCheckpoint = (build) => async (root, { value, server, trigger }) => {
  const engine = engineOf(server);
  const show = build(root, engine, await engine.open(value.checkpoint), asking(server), trigger);
  return { open: async ({ checkpoint }) => show(await engine.open(checkpoint)) };
};

function createEngine(server) {
  let failure = null; // of the worker
  const { element: status, say: tell } = messageLine("status");
  const painter = startPainter((error) => {
    failure = error && error.message;
    if (error) return;
    tell("");
    dispatchEvent(new Event("answering")); // for faces that could not be drawn
  });
  const patience = new Promise((resolve) => setTimeout(resolve, PATIENCE));
  const opened = new Map(); // index of a checkpoint: promise of {index} and its checkpoint.json
  const address = (index, file) => new URL(`${index}/${file}`, import.meta.url).href;
  const weightsAt = ({ index }, moment) =>
    address(index, moment === null ? "generator.safetensors" : `moments/${moment}.safetensors`);

  async function fetched(index) {
    const response = await fetch(address(index, "checkpoint.json")).catch(() => null);
    if (response?.ok) return { index, ...(await response.json()) };
    if (!response) {
      tell(t("The server does not answer. Is it still running?"));
      lookOut();
      await new Promise(whenAnswering);
      tell("");
      return fetched(index);
    }
    if (server.draw && performance.now() > SETTLED) location.reload(); // a server started anew has its files elsewhere
    throw new Error(t("The server does not give {file}: {status}", { file: "checkpoint.json", status: response.status }));
  }

  function knownAt(index) {
    if (!opened.has(index)) {
      opened.set(index, fetched(index));
      opened.get(index).catch(() => opened.delete(index));
    }
    return opened.get(index);
  }

  async function known(name) {
    const first = await knownAt(0);
    return name ? knownAt(Math.max(0, first.summary.names.indexOf(name))) : first;
  }

  const whole = (face) => ({ ...PLAIN, ...(typeof face === "number" ? { seed: face } : face) });
  const latentsOf = ({ summary, directions }, faces) => faces.map((face) => faceLatent(whole(face), summary.nz, directions));

  /* Draw the first of some faces or, where the server draws, the first 64 of them -> [{picture}] */
  async function draw(about, faces) {
    const { name, size } = about.summary;
    const { moment, units } = whole(faces[0]);
    const file = weightsAt(about, moment);
    if (!painter.has(file)) {
      const loading = painter.load(file);
      await (server.draw ? Promise.race([loading, patience]).catch(() => {}) : loading);
    }
    const here = painter.has(file);
    tell(here ? "" : failure ? t("The server draws, since this browser cannot: {error}", { error: failure })
      : t("The server draws until the generator is here."));
    const latents = latentsOf(about, faces.slice(0, here ? 1 : MOST));
    if (here) return [await painter.send({ task: "draw", address: file, z: latents[0], units })];
    const { picture } = await server.draw({ checkpoint: name, moment, latents: latents.map((z) => [...z]) });
    const row = await bitmap(picture);
    return Promise.all(latents.map(async (_, i) => ({ picture: await createImageBitmap(row, i * size, 0, size, size) })));
  }

  /* The worker draws one face at a time: a slider that is moved meanwhile waits for one and not for all. */
  async function sheet(checkpoint, faces, columns) {
    const about = await known(checkpoint);
    const { size } = about.summary;
    const canvas = new OffscreenCanvas(columns * size, Math.ceil(faces.length / columns) * size);
    const context = canvas.getContext("2d");
    for (let i = 0; i < faces.length; ) {
      for (const { picture } of await draw(about, faces.slice(i))) {
        context.drawImage(picture, (i % columns) * size, Math.floor(i / columns) * size);
        picture.close();
        i++;
      }
    }
    return canvas.transferToImageBitmap();
  }

  async function path({ checkpoint, faces, kind, frames, loop }) {
    const latents = latentPath(latentsOf(await known(checkpoint), faces), frames, kind === "spherical", loop);
    return { sheet: await sheet(checkpoint, latents.map((origin) => ({ origin })), COLUMNS), columns: COLUMNS, count: frames };
  }

  /* Ask the worker for what it may have to fetch first: after a new start of the server, that lies elsewhere. */
  const worked = ({ index }, task) => painter.send(task).catch(async (error) => {
    await fetched(index);
    throw error;
  });

  async function inside(face) {
    const about = await known(face.checkpoint);
    const files = [null, face.moment].map((moment) => weightsAt(about, moment));
    await Promise.all(files.map(painter.load)); // no face waits for them
    const survey = { latents: latentsOf(about, [...Array(SURVEYED).keys()]), count: CHANNELS };
    about.strongest ??= worked(about, { task: "strongest", address: files[0], ...survey });
    about.strongest.catch(() => delete about.strongest);
    const [[z], channels] = [latentsOf(about, [face]), await about.strongest];
    const maps = await worked(about, { task: "maps", address: files[1], z, units: face.units, channels });
    return maps.map((one, i) => ({ channels: channels[i], maps: one }));
  }

  async function judge(checkpoint, canvases) {
    const about = await known(checkpoint);
    const { index, summary } = about;
    if (!summary.discriminator) return null;
    const context = new OffscreenCanvas(summary.size, summary.size).getContext("2d", { willReadFrequently: true });
    const pictures = canvases.map((canvas) => {
      context.drawImage(canvas, 0, 0, summary.size, summary.size); // own photos may be of another checkpoint's size
      return context.getImageData(0, 0, summary.size, summary.size);
    });
    return worked(about, { task: "judge", address: address(index, "discriminator.safetensors"), pictures });
  }

  const ready = painter.load(address(0, "generator.safetensors")); // in the background, as soon as the page is open
  ready.catch(() => {});
  return {
    ready, status, sheet, path, inside, judge,
    open: async (checkpoint) => (await known(checkpoint)).summary,
    face: async (face) => (await draw(await known(face.checkpoint), [face]))[0],
    latents: async (checkpoint, faces) => latentsOf(await known(checkpoint), faces),
    ranking: async (checkpoint) => (await known(checkpoint)).ranking ?? server.ranking({ checkpoint }),
    signal: async (checkpoint) => {
      const about = await known(checkpoint);
      return (about.signal ??= await server.signal({ checkpoint }));
    },
    rivals: async (checkpoint) => {
      const about = await known(checkpoint);
      const rivals = about.rivals ?? (await server.rivals({ checkpoint }));
      if (rivals.among === "reals") about.rivals = rivals; // fakes stand in for reals that are still being read
      return rivals;
    },
    replay: async (checkpoint) => {
      const { index, replay } = await known(checkpoint);
      return { ...replay, pictures: replay.frames.map((_, i) => address(index, `snapshots/${i}.webp`)) };
    },
    reals: async (checkpoint) => {
      const { index, reals } = await known(checkpoint);
      if (reals) reals.sheet ??= await bitmap(address(index, "reals.webp"));
      return reals ?? null;
    },
  };
}

/* Free the pictures of an answer. */
export const discard = (answer) => Object.values(answer).forEach((value) => value?.close?.());

/* Latest wins: returns a function that takes a state, of which there may be many a second. One request is made at a
   time, or, where answers are quick, two, so that the worker has the next face to draw while one is painted; of the
   states that come meanwhile the last is next. One that fails is made again when that may help, one that is refused is not. */
export function latest(request, show, fail) {
  let [last, wanted, asked, shown, busy, took] = [null, null, 0, 0, 0, QUICK];
  return async function ask(state) {
    last = wanted = state;
    if (busy >= (took < QUICK ? 2 : 1)) return;
    busy++;
    while (wanted) {
      const [now, number, begun] = [wanted, ++asked, performance.now()];
      wanted = null;
      try {
        const answer = await request(now);
        took = performance.now() - begun;
        if (number < shown) {
          discard(answer); // overtaken
          continue;
        }
        shown = number;
        show(answer, now);
      } catch (error) {
        if (number < shown) continue;
        fail(error, now);
        if (!error.refused) whenAnswering(() => now === last && ask(now));
      }
    }
    busy--;
  };
}
