/* The worker that draws and judges. It is sent {number, task, address of weights, what the task takes} and answers
   {number, answer} or {number, error}. */

import { discriminatorOf, generatorOf } from "./networks.js";

const KEPT = 4; // networks in memory, 30 MB each
const KERNEL = new URL("kernel.wasm", import.meta.url);
const APART = ["load", "judge"]; // tasks that no face waits for while weights are fetched
const networks = new Map(); // address: promise of a network; the last used at the end
let last = Promise.resolve(); // what is to be drawn before

const tasks = {
  load: () => null,
  draw: async (generator, { z, units }) => ({ picture: await createImageBitmap(generator.draw(z, units)) }),
  strongest: (generator, { latents, count }) => generator.strongest(latents, count),
  maps: (generator, { z, units, channels }) => generator.maps(z, units, channels),
  judge: (logit, { pictures }) => pictures.map(logit),
};

async function bytes(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${String(address).split("/").pop()}: ${response.status}`);
  return response.arrayBuffer();
}

function networkAt(address, make) {
  const found = networks.get(address) ?? Promise.all([KERNEL, address].map(bytes)).then((files) => make(...files));
  networks.delete(address);
  networks.set(address, found);
  found.catch(() => networks.delete(address));
  if (networks.size > KEPT) networks.delete(networks.keys().next().value);
  return found;
}

async function work({ number, task, address, ...what }) {
  try {
    const network = await networkAt(address, task === "judge" ? discriminatorOf : generatorOf);
    const answer = await tasks[task](network, what);
    postMessage({ number, answer }, Object.values(answer ?? {}).filter((one) => one instanceof ImageBitmap));
  } catch (error) {
    postMessage({ number, error: error.message });
  }
}

onmessage = ({ data }) => {
  if (APART.includes(data.task)) work(data);
  else last = last.then(() => work(data));
};
