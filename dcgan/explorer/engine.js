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

const TRY_AGAIN = 5000; // milliseconds until a channel that is shut is opened again

/* The server's faces over a WebSocket, as dcgan/tabs/channel.py says. It begins to open when this is called.
   face(state) -> ImageBitmap, or null where there is no way through now: then a request of Gradio's has to do. */
function openChannel(url) {
  const asked = new Map(); // number -> the promise's {resolve, reject}
  let socket = null;
  let tried = 0;
  let last = 0;

  function open() {
    tried = Date.now();
    socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => {
      const { n, error } = typeof data === "string" ? JSON.parse(data) : { n: new DataView(data).getUint32(0, true) };
      const { resolve, reject } = asked.get(n);
      asked.delete(n);
      if (error) reject(new Error(error));
      else resolve(pixels(data));
    };
    socket.onclose = () => {
      for (const { resolve } of asked.values()) resolve(null);
      asked.clear();
    };
  }

  async function face(state) {
    if (socket.readyState === WebSocket.CLOSED && Date.now() - tried > TRY_AGAIN) open();
    if (socket.readyState !== WebSocket.OPEN) return null;
    const n = (last = (last + 1) % 2 ** 32);
    const answer = new Promise((resolve, reject) => asked.set(n, { resolve, reject }));
    socket.send(JSON.stringify({ n, ...state }));
    return answer;
  }

  open();
  return { face };
}

/* An answer's head (number, side, channels) and pixels, of one channel or three, as ImageBitmap. */
function pixels(answer) {
  const [, side, channels] = new Uint32Array(answer, 0, 3);
  const values = new Uint8Array(answer, 12);
  const image = new ImageData(side, side);
  for (let from = 0, to = 0; from < values.length; from += channels, to += 4) {
    image.data[to] = values[from];
    image.data[to + 1] = values[from + (channels > 1)];
    image.data[to + 2] = values[from + 2 * (channels > 1)];
    image.data[to + 3] = 255;
  }
  const canvas = new OffscreenCanvas(side, side);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas.transferToImageBitmap();
}

function serverEngine(server) {
  const channel = (globalThis.faceChannel ??= openChannel(new URL("faces", location.href.replace(/^http/, "ws"))));
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
    face: async (state) => (await channel.face(state)) ?? bitmap((await ask("face", state)).png, "image/png"),
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
