/* The worker that draws, seen from the page: send({task, address of weights, ...}), as worker.js takes it, is answered in
   the order of the requests, load(address) and what it judges beside that. A refusal is an Error whose message says what went wrong.
   onload(error) hears of weights that have come, or why not. */

const LOAD_AGAIN = 5000; // milliseconds until weights that did not arrive may be fetched again

export function startPainter(onload) {
  const waiting = new Map(); // number of a request: the resolve and reject of its promise
  const loads = new Map(); // address of weights: a promise, fulfilled when they are there
  const there = new Set();
  let [worker, failure, last] = [null, null, 0];

  function fail(error) {
    failure = error;
    there.clear();
    loads.clear();
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  }

  try {
    const script = new URL("worker.js", import.meta.url);
    const loader = new Blob([`import "${script}";`], { type: "text/javascript" }); // in a page of another origin
    worker = new Worker(script.origin === location.origin ? script : URL.createObjectURL(loader), { type: "module" });
    worker.onerror = () => fail(new Error("worker.js does not run"));
    worker.onmessage = ({ data: { number, error, answer } }) => {
      const { resolve, reject } = waiting.get(number);
      waiting.delete(number);
      if (error) reject(new Error(error));
      else resolve(answer);
    };
  } catch (error) {
    fail(error);
  }

  const send = (message) => new Promise((resolve, reject) => {
    if (failure) return reject(failure);
    waiting.set(++last, { resolve, reject });
    return worker.postMessage({ number: last, ...message });
  });

  function load(address) {
    if (!loads.has(address)) {
      loads.set(address, send({ task: "load", address }));
      loads.get(address).then(() => {
        there.add(address);
        onload(null);
      }, (error) => {
        setTimeout(() => loads.delete(address), LOAD_AGAIN);
        onload(error);
      });
    }
    return loads.get(address);
  }

  return { load, has: (address) => there.has(address), send };
}
