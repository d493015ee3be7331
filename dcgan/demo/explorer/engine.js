/* What draws the faces of all components of a page: a worker in the browser and, until that has its weights or where it
   cannot run, the server.

   engine.open(name)                -> the summary of a checkpoint ("": the first one), as checkpoint.json has it
   engine.face(face)                -> ImageBitmap of a face, as address.js describes it
   engine.sheet(checkpoint, faces, columns) -> ImageBitmap of faces, or of seeds, row by row
   engine.around(face)              -> {sheet: ImageBitmap of its neighbours in a row, numbers: what leads to them}
   engine.path(way)                 -> {sheet: ImageBitmap, columns, count}; way: {checkpoint, faces, kind, frames, loop}
   engine.ranking(checkpoint)       -> [nz] dimensions, the most effective first
   engine.slider(checkpoint, having, lacking) -> [nz] a direction from faces that have a trait and faces that lack it
   engine.arithmetic(checkpoint, start, minus, plus) -> [nz] the mean of some faces, less a mean, and a mean added
   engine.replay(checkpoint)        -> {frames: [images seen], curves: {name: [value]}}
   engine.snapshot(checkpoint, index) -> Blob
   engine.reals(checkpoint)         -> {sheet: ImageBitmap of real images, eight in a row, count}, or null
   engine.latent(face, nz)          -> [nz] the z before truncation and edits
   engine.onStatus(listener)        -> listener(line) hears now and later why the server has to draw; "" where it need not

   All but the last two return a promise; a refusal is an Error whose message is for the visitor. */

import { MAX_WALK } from "./address.js";
import { NEIGHBOURS, latentPath, latentSum, stateLatent, traitDirection, walkedLatent } from "./latents.js";
import { startPainter } from "./painter.js";
import { asking, whenAnswering } from "./server.js";
import { t } from "./parts.js";

const SHEET_COLUMNS = 8;
const MOST = 64; // faces that the server draws at once

let shared = null;

/* The engine of the page. server: server functions of a component, if there is a server; those of the first one count. */
export const engineOf = (server = {}) => (shared ??= createEngine(asking(server)));

function createEngine(server) {
  const painter = startPainter();
  const opened = new Map(); // index of a checkpoint: promise of its checkpoint.json
  const listeners = [];
  let failed = ""; // why the worker cannot draw

  const status = () => {
    if (failed) return t("The server draws, since this browser cannot: {error}", { error: failed });
    return painter.has(address(0)) ? "" : t("The server draws until the generator is here.");
  };
  const tell = () => listeners.forEach((listener) => listener(server.draw ? status() : ""));
  const address = (index, file = "generator.safetensors") => new URL(`${index}/${file}`, import.meta.url).href;

  function fetched(index) {
    if (!opened.has(index)) {
      opened.set(index, fetchKnown(index));
      opened.get(index).catch(() => opened.delete(index));
    }
    return opened.get(index);
  }

  async function fetchKnown(index) {
    const response = await fetch(address(index, "checkpoint.json"));
    if (!response.ok) throw new Error(t("The server does not give {file}: {status}", { file: "checkpoint.json", status: response.status }));
    return { index, ...(await response.json()) };
  }

  async function known(name) {
    const first = await fetched(0);
    return name && name !== first.summary.name ? fetched(Math.max(0, first.summary.names.indexOf(name))) : first;
  }

  /* The address of the weights that draw a checkpoint, as it was at a moment. */
  const weights = ({ index }, moment) => address(index, moment == null ? "generator.safetensors" : `moments/${moment}.safetensors`);

  async function load(file) {
    try {
      await painter.load(file);
      failed = "";
    } catch (error) {
      failed = error.message;
      throw error;
    } finally {
      tell();
    }
  }

  /* Latents, one at a time, so that a slider that is moved meanwhile waits for one face and not for all. */
  async function draw(about, moment, latents, columns) {
    const file = weights(about, moment);
    if (!painter.has(file)) {
      const loading = load(file);
      if (!server.draw) await loading;
      loading.catch(() => {});
    }
    if (latents.length === 1 && painter.has(file)) return painter.draw(file, latents[0]);
    const size = about.summary.size;
    const canvas = new OffscreenCanvas(columns * size, Math.ceil(latents.length / columns) * size);
    const context = canvas.getContext("2d");
    for (let i = 0; i < latents.length; ) {
      const here = painter.has(file);
      const faces = here ? latents.slice(i, i + 1) : latents.slice(i, i + MOST);
      const pictures = here ? [await painter.draw(file, faces[0])] : await drawnByServer(about, moment, faces, size);
      for (const picture of pictures) {
        context.drawImage(picture, (i % columns) * size, Math.floor(i / columns) * size);
        picture.close();
        i++;
      }
    }
    return canvas.transferToImageBitmap();
  }

  async function drawnByServer({ summary }, moment, latents, size) {
    const { picture } = await server.draw({ checkpoint: summary.name, moment, latents: latents.map((z) => [...z]) });
    const row = await createImageBitmap(await (await fetch(picture)).blob());
    return Promise.all(latents.map((_, i) => createImageBitmap(row, i * size, 0, size, size)));
  }

  const plain = { truncation: 1, edits: {}, directions: {} };
  const latentOf = ({ summary, directions }, face) =>
    stateLatent({ ...plain, ...(typeof face === "number" ? { seed: face } : face) }, summary.nz, directions);

  const engine = {
    open: async (name) => (await known(name)).summary,
    latent: (face, nz) => [...walkedLatent(face, nz)],
    face: async (face) => {
      const about = await known(face.checkpoint);
      return draw(about, face.moment, [latentOf(about, face)], 1);
    },
    around: async (face) => {
      const about = await known(face.checkpoint);
      const numbers = Array.from({ length: NEIGHBOURS }, (_, i) => NEIGHBOURS * face.walk.length + i);
      const latents = numbers.map((number) => latentOf(about, { ...face, walk: [...face.walk, number].slice(-MAX_WALK) }));
      return { sheet: await draw(about, face.moment, latents, NEIGHBOURS), numbers };
    },
    sheet: async (checkpoint, faces, columns) => {
      const about = await known(checkpoint);
      return draw(about, null, faces.map((face) => latentOf(about, face)), columns);
    },
    path: async ({ checkpoint, faces, kind, frames, loop }) => {
      const about = await known(checkpoint);
      const latents = latentPath(faces.map((face) => latentOf(about, face)), frames, kind === "spherical", loop);
      return { sheet: await draw(about, null, latents, SHEET_COLUMNS), columns: SHEET_COLUMNS, count: frames };
    },
    ranking: async (checkpoint) => (await known(checkpoint)).ranking ?? (await server.ranking({ checkpoint })),
    slider: async (checkpoint, having, lacking) => {
      const about = await known(checkpoint);
      about.signal ??= await server.signal({ checkpoint });
      return traitDirection(...[having, lacking].map((seeds) => seeds.map((seed) => latentOf(about, seed))), about.signal);
    },
    arithmetic: async (checkpoint, ...parts) => {
      const about = await known(checkpoint);
      return latentSum(...parts.map((seeds) => seeds.map((seed) => latentOf(about, seed))));
    },
    replay: async (checkpoint) => (await known(checkpoint)).replay,
    snapshot: async (checkpoint, index) => (await fetch(address((await known(checkpoint)).index, `snapshots/${index}.webp`))).blob(),
    reals: async (checkpoint) => {
      const about = await known(checkpoint);
      if (!about.reals) return null;
      return { sheet: await createImageBitmap(await (await fetch(address(about.index, "reals.webp"))).blob()), count: about.reals };
    },
    onStatus: (listener) => {
      listeners.push(listener);
      tell();
    },
  };
  load(address(0)).catch(() => {}); // in the background, as soon as the page is open
  return engine;
}

/* Latest wins: at most `limit` requests are on their way, and an answer overtaken by a later one is not shown.
   Returns a function that takes a state; the last state given is always the last one shown. Of two answers that come
   within a frame the second is shown in the next one: else nobody would see the first. A request that failed for want
   of a server is made again when that answers. */
export function latest(request, show, fail, limit = 2) {
  let ready = null;
  let painting = false;
  function showReady() {
    if (!ready || painting) return;
    show(...ready);
    ready = null;
    painting = true;
    requestAnimationFrame(() => setTimeout(() => {
      painting = false;
      showReady();
    }));
  }

  let wanted = null;
  let sent = 0;
  let shown = 0;
  let flying = 0;
  async function pump() {
    if (wanted === null || flying >= limit) return;
    const state = wanted;
    const number = ++sent;
    wanted = null;
    flying++;
    try {
      const answer = await request(state);
      if (number > shown) {
        shown = number;
        ready = [answer, state];
        showReady();
      }
    } catch (error) {
      if (number === sent) {
        ready = null;
        fail(error);
        whenAnswering(() => number === sent && ask(state));
      }
    }
    flying--;
    pump();
  }
  function ask(state) {
    wanted = state;
    pump();
  }
  return ask;
}
