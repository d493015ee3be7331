/* The worker that draws. It is sent {load: address of weights} or {draw: address, z}, with a port on which it answers
   {bitmap} (none for a load) or {error}. */

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

async function answer({ load, draw, z }, port) {
  try {
    const generate = await generatorAt(load ?? draw);
    const bitmap = draw && (await createImageBitmap(generate(z)));
    port.postMessage({ bitmap }, bitmap ? [bitmap] : []);
  } catch (error) {
    port.postMessage({ error: error.message });
  }
}

onmessage = ({ data, ports: [port] }) => {
  if (data.load) answer(data, port);
  else last = last.then(() => answer(data, port));
};
