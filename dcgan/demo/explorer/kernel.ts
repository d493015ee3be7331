/* Convolutions with a 4 x 4 kernel, of one image, in float32. AssemblyScript: `npm run kernel` makes kernel.wasm of it.

   Behind a ReLU three of four values are zeros. Those that are not are listed first, and nothing is multiplied by the
   others: a few milliseconds a face, where products of matrices take more than twice as long.

   Images are channels last, [side, side, channels], kernels [blocks, 4, 4, inputs, WIDTH]: a block of WIDTH outputs at
   a time is summed in the processor's registers. Channels are filled up with zeros to a multiple of WIDTH. */

const WIDTH = 16;
const ROW: usize = 4 * WIDTH; // bytes of one input's kernel to one block of outputs
const ENTRY: usize = 8; // bytes of a list's entry: where an input's row is in the kernel, and its value

/* Where the last kernel was read; else a compiler would see that nothing comes of it. */
export let read: i32 = 0;

/* Numbers in fp16 to float32. */
export function widen(from: usize, to: usize, count: i32): void {
  const rebias = reinterpret<f32>((127 + 112) << 23); // the exponents' zero: 15 there, 127 here
  for (let i: usize = 0; i < <usize>count; i++) {
    const half: u32 = load<u16>(from + 2 * i);
    const magnitude = reinterpret<f32>((half & 0x7fff) << 13) * rebias;
    store<f32>(to + 4 * i, half & 0x8000 ? -magnitude : magnitude);
  }
}

/* A layer's output. A convolution joins a coarse image [side, side] and a fine one, in which each pixel of the coarse one
   covers 4 x 4: it leads from the fine to the coarse, and if it is `transposed` the other way. `slope`: what values below
   zero are multiplied by, 1, or 0 behind a ReLU. `lists` is room for 1 + inputs entries for each pixel of the input. */
export function convolve(
  input: usize, side: i32, inputs: i32, slope: f32, lists: usize,
  kernel: usize, bias: usize, blocks: i32, stride: i32, padding: i32, transposed: bool, output: usize,
): void {
  const fine = stride * (side - 1) - 2 * padding + 4;
  const from = transposed ? side : fine;
  const to = transposed ? fine : side;
  for (let pixel = 0; pixel < from * from; pixel++) {
    list(input + 4 * <usize>(pixel * inputs), inputs, slope, listOf(lists, pixel, inputs));
  }
  const outputSize = <usize>blocks * ROW;
  for (let pixel = 0; pixel < to * to; pixel++) {
    memory.copy(output + <usize>pixel * outputSize, bias, outputSize);
  }
  for (let block = 0; block < blocks; block++) {
    const outputs = output + <usize>block * ROW;
    for (let tap = 0; tap < 16; tap++) {
      fetch(kernel, inputs);
      for (let y = 0; y < side; y++) {
        const fineY = stride * y - padding + (tap >> 2);
        if (fineY < 0 || fineY >= fine) continue;
        for (let x = 0; x < side; x++) {
          const fineX = stride * x - padding + (tap & 3);
          if (fineX < 0 || fineX >= fine) continue;
          const coarsePixel = y * side + x;
          const finePixel = fineY * fine + fineX;
          const pixel = transposed ? finePixel : coarsePixel;
          add(listOf(lists, transposed ? coarsePixel : finePixel, inputs), kernel, outputs + <usize>pixel * outputSize);
        }
      }
      kernel += <usize>inputs * ROW;
    }
  }
}

// @ts-ignore: a decorator
@inline
function listOf(lists: usize, pixel: i32, inputs: i32): usize {
  return lists + <usize>(pixel * (1 + inputs)) * ENTRY;
}

/* A pixel's values that are not zero; before them, how many. */
function list(values: usize, count: i32, slope: f32, to: usize): void {
  let entry = to + ENTRY;
  for (let i = 0; i < count; i++) {
    const given = load<f32>(values + 4 * <usize>i);
    const value = given < 0 ? slope * given : given;
    store<u32>(entry, i * <i32>ROW);
    store<f32>(entry, value, 4);
    entry += ENTRY * <usize>(value != 0); // else the next one is written over it
  }
  store<u32>(to, <u32>((entry - to) / ENTRY - 1));
}

/* Reads a kernel once from end to end, so that the processor sees what comes next and has it there: the rows that a
   list leaves out hide that from it. */
function fetch(kernel: usize, inputs: i32): void {
  for (let at: usize = 0; at < <usize>inputs * ROW; at += 64) read |= load<i32>(kernel + at);
}

/* Adds to a block of outputs what a pixel's list makes of a kernel. */
// @ts-ignore: a decorator
@inline
function add(list: usize, kernel: usize, output: usize): void {
  let a = v128.load(output);
  let b = v128.load(output, 16);
  let c = v128.load(output, 32);
  let d = v128.load(output, 48);
  const end = list + ENTRY * <usize>(1 + load<u32>(list));
  for (let entry = list + ENTRY; entry < end; entry += ENTRY) {
    const row = kernel + load<u32>(entry);
    const value = v128.load32_splat(entry, 4);
    a = f32x4.add(a, f32x4.mul(value, v128.load(row)));
    b = f32x4.add(b, f32x4.mul(value, v128.load(row, 16)));
    c = f32x4.add(c, f32x4.mul(value, v128.load(row, 32)));
    d = f32x4.add(d, f32x4.mul(value, v128.load(row, 48)));
  }
  v128.store(output, a);
  v128.store(output, b, 16);
  v128.store(output, c, 32);
  v128.store(output, d, 48);
}
