/* The two networks on the CPU: the layers' convolutions are kernel.wasm's, made of kernel.ts, where the layout of memory
   is said. kernel: its bytes; weights: safetensors of weights.py. */

const WIDTH = 16; // kernel.ts
const PAGE = 65536; // bytes, as WebAssembly counts them
const LEAK = 0.2; // of the discriminator's LeakyReLU

/* The generator's layer 0 leads from z to 4 x 4 pixels; the last one's channels are the colours. -> {
     draw(z, units) -> ImageData of the face of z [nz]. units, {"layer.channel": factor}, multiplies channels
     strongest(latents, count) -> [[channels of each layer that change these faces most, at most `count`]]
     maps(z, units, channels) -> [ImageData of these channels' maps in a row, for each layer]
   } */
export async function generatorOf(kernel, weights) {
  const { layers, input, run: forward } = await networkOf(kernel, weights, true);
  const last = layers.at(-1);
  let drawn = ""; // what the outputs are of

  function run(z, units) {
    const wanted = JSON.stringify([...z, units]);
    if (wanted === drawn) return;
    drawn = wanted;
    input.set(z);
    forward(0, ({ output, width, channels }, i) => {
      for (const [key, factor] of Object.entries(units)) {
        const [layer, channel] = key.split(".").map(Number);
        if (layer !== i || channel >= channels) continue;
        for (let at = channel; at < output.length; at += width) output[at] *= factor;
      }
    });
  }

  /* By the standard deviation of a channel over a face's pixels, behind its ReLU, times the length of what the next
     layer makes of it. */
  function strongest(latents, count) {
    const strengths = layers.slice(0, -1).map(({ channels }) => new Float64Array(channels));
    for (const z of latents) {
      run(z, {});
      strengths.forEach((strength, i) => strength.forEach((_, channel) => {
        const { output, width, toSide } = layers[i];
        let [sum, squares, pixels] = [0, 0, toSide ** 2];
        for (let at = channel; at < output.length; at += width) {
          const value = Math.max(0, output[at]);
          sum += value;
          squares += value * value;
        }
        strength[channel] += Math.sqrt(Math.max(0, squares / pixels - (sum / pixels) ** 2));
      }));
    }
    const ranked = strengths.map((strength, i) => {
      const { kernel, inputs } = layers[i + 1];
      const heard = new Float64Array(inputs);
      kernel.forEach((weight, at) => (heard[Math.floor(at / WIDTH) % inputs] += weight * weight));
      const effect = (channel) => strength[channel] * Math.sqrt(heard[channel]);
      return [...strength.keys()].sort((a, b) => effect(b) - effect(a)).slice(0, count);
    });
    return [...ranked, [...Array(last.channels).keys()]];
  }

  function maps(z, units, channels) {
    run(z, units);
    return layers.map(({ output, width, toSide }, i) => {
      const image = new ImageData(toSide * channels[i].length, toSide);
      const colour = layers[i] === last ? tint : shade(output, width, channels[i]);
      channels[i].forEach((channel, column) => {
        for (let at = 0; at < toSide ** 2; at++) {
          const to = Math.floor(at / toSide) * image.width + column * toSide + (at % toSide);
          image.data.set(colour(output[at * width + channel], last.channels === 3 ? channel : null), 4 * to);
        }
      });
      return image;
    });
  }

  return {
    draw: (z, units) => {
      run(z, units);
      return toImage(last.output, last.width, last.channels, last.toSide);
    },
    strongest,
    maps,
  };
}

/* -> a function: ImageData -> logit, positive for what it takes for real */
export async function discriminatorOf(kernel, weights) {
  const { layers, input, run } = await networkOf(kernel, weights, false);
  const { inputs } = layers[0]; // the colours; grey pictures' weights are zeros but for the first
  return ({ data }) => {
    for (let i = 0; i < data.length; i += 4) {
      for (let c = 0; c < 3; c++) input[(i / 4) * inputs + c] = data[i + c] / 127.5 - 1;
    }
    run(LEAK);
    return layers.at(-1).output[0];
  };
}

/* A network with its weights in a memory of its own, as runnable() returns it. transposed: from 1 x 1 to 4 x 4 pixels, and
   on to twice as many each time; else the other way. */
async function networkOf(program, weights, transposed) {
  const tensors = read(weights);
  const count = Object.keys(tensors).length / 2;
  let size = PAGE; // the first one is left to the program
  const room = (numbers) => {
    const at = size;
    size += Math.ceil(numbers / 16) * 64;
    return at;
  };
  const places = Array.from({ length: count }, (_, i) => {
    const [blocks, , , inputs] = tensors[`kernel${i}`].shape;
    const [channels] = tensors[`bias${i}`].shape;
    const fineness = transposed ? i : count - 1 - i;
    const sides = [fineness ? 2 ** (fineness + 1) : 1, 2 ** (fineness + 2)];
    const [fromSide, toSide] = transposed ? sides : [...sides].reverse();
    const kernel = room(16 * inputs * blocks * WIDTH);
    const bias = room(blocks * WIDTH);
    const lists = room(2 * fromSide ** 2 * (1 + inputs));
    const output = room(toSide ** 2 * blocks * WIDTH);
    return { blocks, inputs, channels, coarse: sides[0], fromSide, toSide, kernel, bias, lists, output };
  });
  const input = room(places[0].fromSide ** 2 * places[0].inputs);
  const halves = room(Math.max(...Object.values(tensors).map(({ bytes }) => bytes.length / 4)));
  const memory = new WebAssembly.Memory({ initial: Math.ceil(size / PAGE) });
  const { exports } = (await WebAssembly.instantiate(program, { env: { memory } })).instance;
  for (const [i, place] of places.entries()) {
    for (const name of ["kernel", "bias"]) {
      const { bytes } = tensors[name + i];
      new Uint8Array(memory.buffer).set(bytes, halves);
      exports.widen(halves, place[name], bytes.length / 2);
    }
  }
  return runnable(exports.convolve, memory.buffer, places, input, transposed);
}

/* {layers, input: its values, run(slope, after)}: run computes the layers' outputs, `slope` is of their activations, and
   after(layer, i) hears of each. Of a layer, inputs and width are the numbers of channels with those that fill them up.
   A function of its own, so that it does not keep the file of the weights. */
function runnable(convolve, memory, places, input, transposed) {
  const layers = places.map(({ blocks, inputs, channels, toSide, kernel, output }) => {
    const width = blocks * WIDTH;
    const values = (at, length) => new Float32Array(memory, at, length);
    return { inputs, channels, width, toSide, kernel: values(kernel, 16 * inputs * width), output: values(output, toSide ** 2 * width) };
  });

  function run(slope, after = () => {}) {
    let from = input;
    places.forEach(({ blocks, inputs, coarse, kernel, bias, lists, output }, i) => {
      const steps = coarse > 1 ? [2, 1] : [1, 0]; // stride and padding
      convolve(from, coarse, inputs, i ? slope : 1, lists, kernel, bias, blocks, ...steps, transposed, output);
      after(layers[i], i);
      from = output;
    });
  }

  return { layers, input: new Float32Array(memory, input, places[0].fromSide ** 2 * places[0].inputs), run };
}

/* A value of a hidden layer as a colour, from black over teal to white; white is the largest of these channels. */
function shade(values, width, channels) {
  let most = 1e-6;
  for (let at = 0; at < values.length; at += width) for (const channel of channels) most = Math.max(most, values[at + channel]);
  return (value) => {
    const level = Math.sqrt(Math.max(0, value) / most);
    return [255 * level ** 3, 255 * level, 235 * level, 255];
  };
}

/* A value of the last layer as the red, green or blue that it is, or as grey. */
function tint(value, channel) {
  const level = toLevel(value);
  return [...[0, 1, 2].map((one) => (channel === null || one === channel ? level : 0)), 255];
}

/* safetensors -> {name: {shape, bytes}} */
function read(file) {
  const length = Number(new DataView(file).getBigUint64(0, true));
  const { __metadata__: _, ...header } = JSON.parse(new TextDecoder().decode(new Uint8Array(file, 8, length)));
  const tensor = ({ shape, data_offsets: [from, to] }) => ({ shape, bytes: new Uint8Array(file, 8 + length + from, to - from) });
  return Object.fromEntries(Object.entries(header).map(([name, one]) => [name, tensor(one)]));
}

const toLevel = (value) => (Math.tanh(value) + 1) * 127.5;

/* pixels [side, side, width] before the tanh, of which the first channel is used, or the first three */
function toImage(pixels, width, channels, side) {
  const image = new ImageData(side, side);
  for (let i = 0; i < side * side; i++) {
    for (let c = 0; c < 3; c++) {
      image.data[4 * i + c] = toLevel(pixels[i * width + (channels === 3 ? c : 0)]); // rounds and clamps
    }
    image.data[4 * i + 3] = 255;
  }
  return image;
}
