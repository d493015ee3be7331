/* What draws in the browser: it is sent one z after the other, and answers each with {bitmap} or {error}. What follows
   a ? in its own address says which generator, where a server has several: one that brings none for a GPU. */

import { cpuGenerator } from "./cpu_generator.js";

const bytes = (file) => fetch(file).then((response) => response.arrayBuffer());
const onCpu = Promise.all([bytes("kernel.wasm"), bytes(`generator.safetensors${location.search}`)]).then((files) => cpuGenerator(...files));
let generator = onCpu;
let last = onCpu; // what was asked before: faces are drawn in order

/* A GPU takes over when it is ready, where the browser has both WebGPU and JSPI. It may play a GPU on the CPU, which
   takes seconds a face. */
async function onGpu() {
  const adapter = "Suspending" in WebAssembly && (await navigator.gpu?.requestAdapter());
  if (!adapter || adapter.info?.isFallbackAdapter) return;
  const ort = await import("./ort.jspi.bundle.min.mjs");
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(await bytes("generator.onnx"), { executionProviders: ["webgpu"] });
  const draw = async (z) => {
    const { [session.outputNames[0]]: images } = await session.run({ z: new ort.Tensor("float32", z, [1, z.length, 1, 1]) });
    return toImage(images);
  };
  await draw(new Float32Array(session.inputMetadata[0].shape[1])); // which makes its programs
  generator = (z) => draw(z).catch(async () => {
    generator = onCpu;
    return (await onCpu)(z);
  });
}
if (!location.search) onCpu.then(onGpu).catch((error) => console.warn(`no generator on the GPU: ${error.message}`));

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

onmessage = ({ data: z }) => {
  last = last.catch(() => {}).then(async () => {
    try {
      const bitmap = await createImageBitmap(await (await generator)(z));
      postMessage({ bitmap }, [bitmap]);
    } catch (error) {
      postMessage({ error: error.message });
    }
  });
};
