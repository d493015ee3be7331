/* The engine of a page without a server: as engine.js says, with workers that run the generator. What needs the
   discriminator, other generators or files of animations is not here.

   known: {summary, directions: {name: vector}, ranking, replay}, which dcgan/static.py writes */

const SHEET_COLUMNS = 8;

/* A worker that draws one face after the other. draw(z) -> ImageBitmap; waiting() -> how many it has yet to draw */
function painter(worker) {
  const asked = [];
  worker.onmessage = ({ data: { bitmap, error } }) => {
    const { resolve, reject } = asked.shift();
    if (bitmap) resolve(bitmap);
    else reject(new Error(t("This browser cannot run the generator: {error}", { error })));
  };
  const draw = (z) => new Promise((resolve, reject) => {
    asked.push({ resolve, reject });
    worker.postMessage(z);
  });
  return { draw, waiting: () => asked.length };
}

/* begin() -> a new worker; there is one at first, and a second one when that has drawn a face. */
function onnxEngine({ summary, directions, ranking, replay }, first, begin) {
  const painters = [painter(first)];
  const draw = (z) => painters.reduce((a, b) => (b.waiting() < a.waiting() ? b : a)).draw(z);
  async function help() {
    const nothing = new Float32Array(summary.nz);
    await painters[0].draw(nothing);
    const second = painter(begin());
    await second.draw(nothing);
    painters.push(second);
  }
  if (navigator.hardwareConcurrency > 1) help().catch(() => {}); // whoever asks for a face is told
  const latentOf = (state) => stateLatent(state, summary.nz, directions);

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
    lanes: 3, // two faces are drawn, and a next one is ready to be
    latent: async (state) => [...walkedLatent(state, summary.nz)],
    ranking: async () => ranking,
    face: async (state) => draw(latentOf(state)),
    around: async (state) => {
      const numbers = Array.from({ length: NEIGHBOURS }, (_, i) => NEIGHBOURS * state.walk.length + i);
      const latents = numbers.map((number) => latentOf({ ...state, walk: [...state.walk, number] }));
      return { sheet: await sheetOf(latents, NEIGHBOURS), numbers, opinion: null };
    },
    path: async ({ faces, kind, frames, loop }) => {
      const latents = latentPath(faces.map(latentOf), frames, kind === "spherical", loop);
      return { sheet: await sheetOf(latents, SHEET_COLUMNS), columns: SHEET_COLUMNS, count: frames };
    },
    replay: async () => replay,
    snapshot: async (_, index) => (await fetch(`snapshots/${index}.webp`)).blob(),
  };
}
