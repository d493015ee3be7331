/* The worker that draws, seen from the page.

   painter.load(address)    -> a promise, fulfilled when the weights at that address are there
   painter.has(address)     -> whether they are
   painter.draw(address, z) -> ImageBitmap
   Faces are drawn in order. A refusal is an Error whose message says what went wrong. */

const LOAD_AGAIN = 5000; // milliseconds until weights that did not arrive are fetched again

export function startPainter() {
  const waiting = new Map(); // number of a message: what settles its promise
  const loads = new Map(); // address: promise
  const there = new Set();
  let last = 0;
  let broken = null; // why the worker does not run
  const worker = startWorker();

  function startWorker() {
    try {
      const made = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
      made.onerror = () => stop("worker.js does not run");
      made.onmessage = ({ data: { number, bitmap, error } }) => {
        const { resolve, reject } = waiting.get(number);
        waiting.delete(number);
        if (error) reject(new Error(error));
        else resolve(bitmap);
      };
      return made;
    } catch (error) {
      broken = error.message;
      return null;
    }
  }

  function stop(why) {
    broken = why;
    worker.terminate();
    there.clear();
    loads.clear();
    for (const { reject } of waiting.values()) reject(new Error(why));
    waiting.clear();
  }

  const send = (message) => new Promise((resolve, reject) => {
    if (broken) return reject(new Error(broken));
    waiting.set(++last, { resolve, reject });
    worker.postMessage({ number: last, ...message });
  });

  function load(address) {
    if (!loads.has(address)) {
      const loading = send({ load: address });
      loads.set(address, loading);
      loading.then(() => there.add(address), () => setTimeout(() => loads.delete(address), LOAD_AGAIN));
    }
    return loads.get(address);
  }

  return { load, has: (address) => there.has(address), draw: (address, z) => send({ draw: address, z }) };
}
