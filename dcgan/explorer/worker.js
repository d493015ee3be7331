/* What draws in the browser: it is sent one z after the other, and answers each with {bitmap} or {error}. What follows
   a ? in its own address says which generator, where there are several. */

const model = fetch(`generator.onnx${location.search}`).then((response) => response.arrayBuffer());
const session = start();
let last = session; // what was asked before: a session computes one face at a time

/* On the GPU where the browser lets it compute there, and there is one: a browser may play it on the CPU, which takes
   seconds a face. Else on the CPU, in one thread: more need headers that a plain file server does not send. */
async function start() {
  const adapter = "Suspending" in WebAssembly && (await navigator.gpu?.requestAdapter());
  if (adapter && !adapter.info?.isFallbackAdapter) {
    try {
      return await open("jspi", "webgpu");
    } catch (error) {
      console.warn(`no generator on the GPU: ${error.message}`);
    }
  }
  return open("wasm", "wasm");
}

async function open(build, provider) {
  const ort = await import(`./ort.${build}.bundle.min.mjs`);
  ort.env.wasm.numThreads = 1;
  const made = await ort.InferenceSession.create(await model, { executionProviders: [provider] });
  return async (z) => {
    const { [made.outputNames[0]]: images } = await made.run({ z: new ort.Tensor("float32", z, [1, z.length, 1, 1]) });
    return images;
  };
}

/* images [1, nc, S, S] in [-1, 1] */
function toBitmap({ data, dims: [, channels, height, width] }) {
  const plane = width * height;
  const pixels = new ImageData(width, height);
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = (data[(channels === 3 ? c : 0) * plane + i] + 1) * 127.5; // rounds and clamps
    pixels.data[4 * i + 3] = 255;
  }
  return createImageBitmap(pixels);
}

onmessage = ({ data: z }) => {
  last = last.catch(() => {}).then(async () => {
    try {
      const bitmap = await toBitmap(await (await session)(z));
      postMessage({ bitmap }, [bitmap]);
    } catch (error) {
      postMessage({ error: error.message });
    }
  });
};
