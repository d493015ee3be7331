/* Where pixels come from. A page's components ask an engine; this one asks the server.

   latent(state)                 -> [nz] the z before truncation and edits
   ranking(checkpoint)           -> [nz] dimensions, the most effective first
   face(state)                   -> ImageBitmap; state {checkpoint, seed, truncation, edits, directions, walk, origin, shift, moment}:
                                    origin, a z [nz], takes the place of the seed's, shift [nz] is added, moment: images seen; or null
   around(state)                 -> {sheet: ImageBitmap of the neighbours in a row, numbers, opinion: {realer_than, among} | null}
   sheet(checkpoint, faces, columns) -> {sheet: ImageBitmap, columns, count} of faces, seeds or states
   slider(checkpoint, having, lacking) -> [nz] a direction from faces that have a trait and faces that lack it
   arithmetic(checkpoint, start, minus, plus) -> [nz] the mean of some faces, less a mean, and a mean added
   path(way)                     -> {sheet: ImageBitmap, columns, count}; way {checkpoint, faces, kind, frames, loop}
   animation(way, format, seconds) -> Blob; not every engine has it
   replay(checkpoint)            -> {frames: [images seen], curves: {name: [value]}}
   snapshot(checkpoint, index)   -> Blob

   lanes: how many faces may be on their way at once.
   Each returns a promise; a refusal is an Error whose message is for the visitor. */

const bytes = (base64) => Uint8Array.fromBase64?.(base64) ?? Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
const blob = (base64, type) => new Blob([bytes(base64)], { type });

function serverEngine(server) {
  async function ask(name, request) {
    let answer;
    try {
      answer = await server[name](request);
    } catch {
      throw new Error(t("The server does not answer. Is it still running?"));
    }
    if (answer.error) throw new Error(answer.error);
    return answer;
  }
  const bitmap = (base64, type) => createImageBitmap(blob(base64, type));
  return {
    lanes: 4,
    latent: async ({ checkpoint, seed, walk, origin }) => (await ask("latent", { checkpoint, seed, walk, origin })).z,
    ranking: async (checkpoint) => (await ask("ranking", { checkpoint })).ranking,
    face: async (state) => bitmap((await ask("face", state)).png, "image/png"),
    around: async (state) => {
      const { jpeg, numbers, opinion } = await ask("around", state);
      return { sheet: await bitmap(jpeg, "image/jpeg"), numbers, opinion };
    },
    sheet: async (checkpoint, faces, columns) => {
      const { jpeg } = await ask("sheet", { checkpoint, faces, columns });
      return { sheet: await bitmap(jpeg, "image/jpeg"), columns, count: faces.length };
    },
    slider: async (checkpoint, having, lacking) => (await ask("slider", { checkpoint, having, lacking })).vector,
    arithmetic: async (checkpoint, start, minus, plus) => (await ask("arithmetic", { checkpoint, start, minus, plus })).origin,
    path: async (way) => {
      const { jpeg, columns, count } = await ask("path", way);
      return { sheet: await bitmap(jpeg, "image/jpeg"), columns, count };
    },
    animation: async (way, format, seconds) =>
      blob((await ask("animation", { ...way, format, seconds })).file, format === "mp4" ? "video/mp4" : `image/${format}`),
    replay: (checkpoint) => ask("replay", { checkpoint }),
    snapshot: async (checkpoint, index) => blob((await ask("snapshot", { checkpoint, index })).webp, "image/webp"),
  };
}

/* Latest wins: at most `limit` requests are on their way, and an answer overtaken by a later one is not shown.
   Returns a function that takes a state; the last state given is always the last one shown. */
function latest(request, show, fail, limit) {
  let wanted = null;
  let sent = 0;
  let shown = 0;
  let flying = 0;
  function pump() {
    if (wanted === null || flying >= limit) return;
    const state = wanted;
    const number = ++sent;
    wanted = null;
    flying++;
    request(state)
      .then((answer) => {
        if (number < shown) return;
        shown = number;
        show(answer, state);
      })
      .catch((error) => number === sent && fail(error))
      .finally(() => {
        flying--;
        pump();
      });
  }
  return (state) => {
    wanted = state;
    pump();
  };
}
