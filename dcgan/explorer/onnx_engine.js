/* The engine of a page without a server: as engine.js says, with a worker that runs the generator. What needs the
   discriminator, other generators or files of animations is not here.

   known: {summary, directions: {name: vector}, ranking, replay}, which dcgan/static.py writes */

const SHEET_COLUMNS = 8;

function onnxEngine({ summary, directions, ranking, replay }, worker) {
  const waiting = new Map();
  let asked = 0;
  worker.onmessage = ({ data: { number, bitmap, error } }) => {
    const { resolve, reject } = waiting.get(number);
    waiting.delete(number);
    if (bitmap) resolve(bitmap);
    else reject(new Error(t("This browser cannot run the generator: {error}", { error })));
  };
  const draw = (z) => new Promise((resolve, reject) => {
    waiting.set(++asked, { resolve, reject });
    worker.postMessage({ number: asked, z });
  });
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
    lanes: 2, // one face is drawn, and the next is ready to be
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
