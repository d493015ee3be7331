/* The worker that draws, seen from the page: faces in the order of the requests, weights beside that.
   A refusal is an Error whose message says what went wrong. */

const LOAD_AGAIN = 5000; // milliseconds until weights that did not arrive may be fetched again

export function startPainter() {
  const loads = new Map(); // address of weights: a promise, fulfilled when they are there
  const there = new Set();
  let worker = null;
  const broken = new Promise((_, reject) => {
    try {
      worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
      worker.onerror = () => {
        there.clear();
        reject(new Error("worker.js does not run"));
      };
    } catch (error) {
      reject(error);
    }
  });
  broken.catch(() => {}); // whoever sends it something hears of it

  const send = (message) => Promise.race([broken, new Promise((resolve, reject) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data: { bitmap, error } }) => {
      port1.close();
      if (error) reject(new Error(error));
      else resolve(bitmap);
    };
    worker?.postMessage(message, [port2]);
  })]);

  function load(address) {
    if (!loads.has(address)) {
      loads.set(address, send({ load: address }));
      loads.get(address).then(() => there.add(address), () => setTimeout(() => loads.delete(address), LOAD_AGAIN));
    }
    return loads.get(address);
  }

  return { load, has: (address) => there.has(address), draw: (address, z) => send({ draw: address, z }) };
}
