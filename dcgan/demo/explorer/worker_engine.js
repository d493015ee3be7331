/* The engine of a page without a server: as engine.js says, with a worker that runs the generator. What needs the
   discriminator, other generators or files of animations is not here.

   known: {summary, directions: {name: vector}} of dcgan/server/browser.py, {ranking, replay, signal} of dcgan/static.py */

const SHEET_COLUMNS = 8;

/* What a page has to know of a checkpoint, from its address. */
async function fetchKnown(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(t("The server does not give {file}: {status}", { file: "checkpoint.json", status: response.status }));
  return response.json();
}

/* A worker that draws one face after the other. draw(z) -> ImageBitmap; stop() ends it, and refuses what it has yet to
   draw. */
function painter(worker) {
  const asked = [];
  let stopped = null; // why
  const refusal = (error) => new Error(t("The generator cannot run here: {error}", { error }));
  worker.onmessage = ({ data: { bitmap, error } }) => {
    const { resolve, reject } = asked.shift();
    if (bitmap) resolve(bitmap);
    else reject(refusal(error));
  };
  const stop = (why = "stopped") => {
    stopped = why;
    worker.terminate();
    for (const { reject } of asked.splice(0)) reject(refusal(why));
  };
  worker.onerror = () => stop("worker.js does not load");
  const draw = (z) => new Promise((resolve, reject) => {
    if (stopped) return reject(refusal(stopped));
    asked.push({ resolve, reject });
    worker.postMessage(z);
  });
  return { draw, stop };
}

/* draw: a painter's */
function workerEngine({ summary, directions, ranking, replay, signal }, draw) {
  const plain = { truncation: 1, edits: {}, directions: {} };
  const latentOf = (face) => stateLatent({ ...plain, ...(typeof face === "number" ? { seed: face } : face) }, summary.nz, directions);

  /* One face at a time, so that a slider that is moved meanwhile waits for one face and not for all. */
  async function sheetOf(latents, columns) {
    const size = summary.size;
    const canvas = new OffscreenCanvas(columns * size, Math.ceil(latents.length / columns) * size);
    const context = canvas.getContext("2d");
    for (const [i, z] of latents.entries()) {
      const face = await draw(z);
      context.drawImage(face, (i % columns) * size, Math.floor(i / columns) * size);
      face.close();
    }
    return canvas.transferToImageBitmap();
  }

  return {
    lanes: 2, // one is drawn while the other is shown
    latent: async (state) => [...walkedLatent(state, summary.nz)],
    ranking: async () => ranking,
    face: async (state) => draw(latentOf(state)),
    around: async (state) => {
      const numbers = Array.from({ length: NEIGHBOURS }, (_, i) => NEIGHBOURS * state.walk.length + i);
      const latents = numbers.map((number) => latentOf({ ...state, walk: [...state.walk, number].slice(-MAX_WALK) }));
      return { sheet: await sheetOf(latents, NEIGHBOURS), numbers, opinion: null };
    },
    sheet: async (_, faces, columns) => ({ sheet: await sheetOf(faces.map(latentOf), columns), columns, count: faces.length }),
    slider: async (_, having, lacking) => traitDirection(having.map(latentOf), lacking.map(latentOf), signal),
    arithmetic: async (_, ...parts) => latentSum(...parts.map((part) => part.map(latentOf))),
    path: async ({ faces, kind, frames, loop }) => {
      const latents = latentPath(faces.map(latentOf), frames, kind === "spherical", loop);
      return { sheet: await sheetOf(latents, SHEET_COLUMNS), columns: SHEET_COLUMNS, count: frames };
    },
    replay: async () => replay,
    snapshot: async (_, index) => (await fetch(`snapshots/${index}.webp`)).blob(),
  };
}
