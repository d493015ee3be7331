/* What draws in the browser: it is sent one z after the other, and answers each with {bitmap} or {error}. What follows
   a ? in its own address says which generator, where a server has several: one that brings none for a GPU. */

import { cpuGenerator } from "./cpu_generator.js";

const FRAME = 1000 / 60; // milliseconds
const ENOUGH = 5; // faces until it is known how long one takes

const onCpu = Promise.all([bytes("kernel.wasm"), bytes(`generator.safetensors${location.search}`)]).then((files) => cpuGenerator(...files));
onCpu.catch(() => {}); // whoever asks for a face is told
let generator = onCpu;
let last = Promise.resolve(); // what was asked before: faces are drawn in order
let faces = 0;
let fastest = Infinity;

async function bytes(file) {
  const response = await fetch(file);
  if (!response.ok) throw new Error(`${file}: ${response.status}`);
  return response.arrayBuffer();
}

/* Where the CPU does not keep up with the screen, a GPU takes over if the browser has both WebGPU and JSPI, and it is
   faster: it has 24 MB more to fetch. A browser may play a GPU on the CPU, which takes seconds a face. */
async function onGpu(z) {
  const adapter = "Suspending" in WebAssembly && (await navigator.gpu?.requestAdapter());
  if (!adapter || adapter.info?.isFallbackAdapter) return;
  const ort = await import("./ort.jspi.bundle.min.mjs");
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(await bytes("generator.onnx"), { executionProviders: ["webgpu"] });
  const draw = async (z) => {
    const { [session.outputNames[0]]: images } = await session.run({ z: new ort.Tensor("float32", z, [1, z.length, 1, 1]) });
    return toImage(images);
  };
  await draw(z); // which makes its programs
  const begun = performance.now();
  await draw(z);
  if (performance.now() - begun > fastest) return;
  generator = (z) => draw(z).catch(async () => {
    generator = onCpu;
    return (await onCpu)(z);
  });
}

/* images [1, nc, S, S] in [-1, 1] */
function toImage({ data, dims: [, channels, height, width] }) {
  const plane = width * height;
  const image = new ImageData(width, height);
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = (data[(channels === 3 ? c : 0) * plane + i] + 1) * 127.5; // rounds and clamps
    image.data[4 * i + 3] = 255;
  }
  return image;
}

async function answer(z) {
  try {
    const draw = await generator;
    const begun = performance.now();
    const bitmap = await createImageBitmap(await draw(z));
    fastest = Math.min(fastest, performance.now() - begun);
    postMessage({ bitmap }, [bitmap]);
  } catch (error) {
    return postMessage({ error: error.message });
  }
  if (++faces === ENOUGH && fastest > FRAME && !location.search) {
    onGpu(z).catch((error) => console.warn(`no generator on the GPU: ${error.message}`));
  }
}

onmessage = ({ data: z }) => (last = last.then(() => answer(z)));
