/* The generator on the CPU: the layers' convolutions are kernel.wasm's, made of kernel.ts, where the layout of memory
   is said.

   kernel: the bytes of kernel.wasm; weights: safetensors of weights.py
   -> a function: z [nz] -> ImageData */

const WIDTH = 16; // kernel.ts
const PAGE = 65536; // bytes, as WebAssembly counts them

export async function generatorOf(kernel, weights) {
  const tensors = read(weights);
  const layers = layersOf(tensors);
  let size = PAGE; // the first one is left to the program
  const room = (bytes) => {
    const at = size;
    size += Math.ceil(bytes / 64) * 64;
    return at;
  };
  for (const layer of layers) {
    const { inputs, blocks, side, toSide } = layer;
    layer.kernel = room(4 * blocks * 16 * inputs * WIDTH);
    layer.bias = room(4 * blocks * WIDTH);
    layer.lists = room(8 * side ** 2 * (1 + inputs));
    layer.output = room(4 * toSide ** 2 * blocks * WIDTH);
  }
  const input = room(4 * layers[0].inputs);
  const halves = room(Math.max(...layers.map(({ i }) => tensors[`kernel${i}`].bytes.length)));
  const memory = new WebAssembly.Memory({ initial: Math.ceil(size / PAGE) });
  const { exports } = (await WebAssembly.instantiate(kernel, { env: { memory } })).instance;

  for (const { i, ...layer } of layers) {
    for (const name of ["kernel", "bias"]) {
      const { bytes } = tensors[name + i];
      new Uint8Array(memory.buffer).set(bytes, halves);
      exports.widen(halves, layer[name], bytes.length / 2);
    }
  }

  return drawing(exports.convolve, memory.buffer, input, layers, tensors[`bias${layers.at(-1).i}`].shape[0]);
}

/* A function of its own, so that it does not keep the file of the weights. */
function drawing(convolve, memory, input, layers, channels) {
  const last = layers.at(-1);
  const pixels = new Float32Array(memory, last.output, last.toSide ** 2 * last.blocks * WIDTH);
  return (z) => {
    new Float32Array(memory, input).set(z);
    let from = input;
    for (const { i, side, inputs, lists, kernel, bias, blocks, stride, padding, output } of layers) {
      convolve(from, side, inputs, i > 0, lists, kernel, bias, blocks, stride, padding, output);
      from = output;
    }
    return toImage(pixels, last.blocks * WIDTH, channels, last.toSide);
  };
}

/* safetensors -> {name: {shape, bytes}} */
function read(file) {
  const length = Number(new DataView(file).getBigUint64(0, true));
  const { __metadata__: _, ...header } = JSON.parse(new TextDecoder().decode(new Uint8Array(file, 8, length)));
  const tensor = ({ shape, data_offsets: [from, to] }) => ({ shape, bytes: new Uint8Array(file, 8 + length + from, to - from) });
  return Object.fromEntries(Object.entries(header).map(([name, one]) => [name, tensor(one)]));
}

/* The DCGAN's: from 1 x 1 to 4 x 4 pixels, and on to twice as many each time. */
function layersOf(tensors) {
  const layers = [];
  let side = 1;
  for (let i = 0; `kernel${i}` in tensors; i++) {
    const [blocks, , , inputs] = tensors[`kernel${i}`].shape;
    const toSide = i ? 2 * side : 4;
    layers.push({ i, blocks, inputs, side, toSide, stride: i ? 2 : 1, padding: i ? 1 : 0 });
    side = toSide;
  }
  return layers;
}

/* pixels [side, side, width] before the tanh, of which the first channel is used, or the first three */
function toImage(pixels, width, channels, side) {
  const image = new ImageData(side, side);
  for (let i = 0; i < side * side; i++) {
    for (let c = 0; c < 3; c++) {
      image.data[4 * i + c] = (Math.tanh(pixels[i * width + (channels === 3 ? c : 0)]) + 1) * 127.5; // rounds and clamps
    }
    image.data[4 * i + 3] = 255;
  }
  return image;
}
