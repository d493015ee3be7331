/* Where pixels come from. A page's components ask an engine; this one asks the server.

   summary(checkpoint)           -> what Shelf.summary says of it; not every engine has it
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

const TRY_AGAIN = 5000; // milliseconds until a WebSocket that is shut is opened again
const SILENT = 20000; // milliseconds until one that does not answer is given up: a network that is gone does not say so

/* Asks the server, as dcgan/server/channel.py says. ask(name, request) -> the answer's head, with its bytes as `data`. */
function serverChannel(address) {
  const asked = new Map(); // number -> what the promise is to be settled with: an answer, or null
  let socket = null;
  let tried = 0;
  let last = 0;
  let looking = 0;

  function open() {
    tried = Date.now();
    socket = new WebSocket(address.href.replace(/^http/, "ws"));
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => {
      const answer = read(data);
      asked.get(answer.n)?.(answer);
      asked.delete(answer.n);
    };
    socket.onclose = giveUp;
  }

  /* Where the server was gone: asks until it is back, and tells all who wait for it. */
  function lookOut() {
    looking ||= setInterval(() => overPost({ n: 0, ask: "summary", checkpoint: "" }).then(isBack, () => {}), TRY_AGAIN / 2);
  }

  function isBack() {
    clearInterval(looking);
    looking = 0;
    dispatchEvent(new Event("answering"));
  }

  function giveUp() {
    for (const settle of asked.values()) settle(null);
    asked.clear();
  }

  function read(answer) {
    const begin = 4 + new DataView(answer).getUint32(0, true);
    const head = JSON.parse(new TextDecoder().decode(new Uint8Array(answer, 4, begin - 4)));
    return { ...head, data: new Uint8Array(answer, begin) };
  }

  /* The answer over the WebSocket; null where there is no way through now, or it is shut meanwhile. */
  async function overSocket(question) {
    if (socket.readyState === WebSocket.CLOSED && Date.now() - tried > TRY_AGAIN) open();
    if (socket.readyState !== WebSocket.OPEN) return null;
    const answer = new Promise((settle) => asked.set(question.n, settle));
    const mine = socket;
    mine.send(JSON.stringify(question));
    const silence = setTimeout(() => {
      mine.close();
      if (mine === socket) giveUp();
    }, SILENT);
    return answer.finally(() => clearTimeout(silence));
  }

  async function overPost(question) {
    try {
      const answer = await fetch(address, { method: "POST", body: JSON.stringify(question) });
      return answer.ok ? read(await answer.arrayBuffer()) : await answer.json();
    } catch {
      lookOut();
      throw new Error(t("The server does not answer. Is it still running?"));
    }
  }

  async function ask(name, request) {
    last = (last + 1) % 2 ** 32;
    const question = { ...request, n: last, ask: name };
    const answer = (await overSocket(question)) ?? (await overPost(question));
    if (answer.error) throw new Error(answer.error);
    return answer;
  }

  open();
  return ask;
}

/* Pixels, of one channel or three, as ImageBitmap. */
function bitmapOf({ side, channels, data }) {
  const image = new ImageData(side, side);
  for (let from = 0, to = 0; from < data.length; from += channels, to += 4) {
    image.data[to] = data[from];
    image.data[to + 1] = data[from + (channels > 1)];
    image.data[to + 2] = data[from + 2 * (channels > 1)];
    image.data[to + 3] = 255;
  }
  const canvas = new OffscreenCanvas(side, side);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas.transferToImageBitmap();
}

function serverEngine() {
  const ask = (globalThis.askServer ??= serverChannel(new URL("ask", location.href))); // one for all components
  const sheetOf = ({ data }) => createImageBitmap(new Blob([data], { type: "image/jpeg" }));
  return {
    lanes: 4,
    summary: (checkpoint) => ask("summary", { checkpoint }),
    latent: async ({ checkpoint, seed, walk, origin }) => (await ask("latent", { checkpoint, seed, walk, origin })).z,
    ranking: async (checkpoint) => (await ask("ranking", { checkpoint })).ranking,
    face: async (state) => bitmapOf(await ask("face", state)),
    around: async (state) => {
      const answer = await ask("around", state);
      return { sheet: await sheetOf(answer), numbers: answer.numbers, opinion: answer.opinion };
    },
    sheet: async (checkpoint, faces, columns) => {
      const answer = await ask("sheet", { checkpoint, faces, columns });
      return { sheet: await sheetOf(answer), columns, count: faces.length };
    },
    slider: async (checkpoint, having, lacking) => (await ask("slider", { checkpoint, having, lacking })).vector,
    arithmetic: async (checkpoint, start, minus, plus) => (await ask("arithmetic", { checkpoint, start, minus, plus })).origin,
    path: async (way) => {
      const answer = await ask("path", way);
      return { sheet: await sheetOf(answer), columns: answer.columns, count: answer.count };
    },
    animation: async (way, format, seconds) => {
      const { data } = await ask("animation", { ...way, format, seconds });
      return new Blob([data], { type: format === "mp4" ? "video/mp4" : `image/${format}` });
    },
    replay: (checkpoint) => ask("replay", { checkpoint }),
    snapshot: async (checkpoint, index) => new Blob([(await ask("snapshot", { checkpoint, index })).data], { type: "image/webp" }),
  };
}

/* Calls `retry` when a server that was gone is back. */
function whenAnswering(retry) {
  addEventListener("answering", retry, { once: true });
}

/* Latest wins: at most `limit` requests are on their way, and an answer overtaken by a later one is not shown.
   Returns a function that takes a state; the last state given is always the last one shown. Of two answers that come
   within a frame the second is shown in the next one: else nobody would see the first. */
function latest(request, show, fail, limit) {
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
        ready = [answer, state];
        showReady();
      })
      .catch((error) => {
        if (number !== sent) return;
        ready = null;
        fail(error);
        whenAnswering(() => {
          if (number !== sent) return;
          wanted = state;
          pump();
        });
      })
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
