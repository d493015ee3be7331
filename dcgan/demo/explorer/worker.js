/* The worker that draws. It is sent {number, load: address of weights} or {number, draw: address, z, enlarging: whether
   an enlarged picture is wanted, too}, and answers {number, picture, enlarged} or {number, error}. */

import { enlarge } from "./enlarge.js";
import { generatorOf } from "./generator.js";

const KEPT = 4; // generators in memory, 30 MB each
const kernel = bytes(new URL("kernel.wasm", import.meta.url));
kernel.catch(() => {}); // whoever loads weights hears of it
const generators = new Map(); // address: promise of a generator; the last used at the end
let last = Promise.resolve(); // what is to be drawn before

async function bytes(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${String(address).split("/").pop()}: ${response.status}`);
  return response.arrayBuffer();
}

function generatorAt(address) {
  const found = generators.get(address) ?? Promise.all([kernel, bytes(address)]).then((files) => generatorOf(...files));
  generators.delete(address);
  generators.set(address, found);
  found.catch(() => generators.delete(address));
  if (generators.size > KEPT) generators.delete(generators.keys().next().value);
  return found;
}

async function answer({ number, load, draw, z, enlarging }) {
  try {
    const generate = await generatorAt(load ?? draw);
    if (load) return postMessage({ number });
    const image = generate(z);
    const picture = await createImageBitmap(image);
    const enlarged = enlarging && (await createImageBitmap(enlarge(image)));
    return postMessage({ number, picture, enlarged }, enlarged ? [picture, enlarged] : [picture]);
  } catch (error) {
    return postMessage({ number, error: error.message });
  }
}

onmessage = ({ data }) => {
  if (data.load) answer(data);
  else last = last.then(() => answer(data));
};
