/* Enlarged pictures: the browser's own are blurred. Catmull and Rom's cubic, over pixels that are sharpened a little. */

const SHARPER = 0.1; // part of each neighbour that is taken away; more shows the generator's grain
const TAPS = 6; // pixels that one is made of, in each direction
const SIDE = 256; // of an enlarged picture, at most: what is left to do on the page, the browser does well

const cubic = (d) => (d < 1 ? (1.5 * d - 2.5) * d * d + 1 : d < 2 ? ((2.5 - 0.5 * d) * d - 4) * d + 2 : 0);
const at = (x) => (1 + 2 * SHARPER) * cubic(Math.abs(x)) - SHARPER * (cubic(Math.abs(x - 1)) + cubic(Math.abs(x + 1)));

/* ImageData -> ImageData, `factor` times as wide and high, for a whole factor. */
export function enlarge({ data, width, height }, factor = Math.max(1, Math.floor(SIDE / width))) {
  const image = new ImageData(width * factor, height * factor);
  const higher = stretch(data, width, height, factor, new Float32Array(4 * width * height * factor));
  stretch(higher, height * factor, width, factor, image.data); // rounds and clamps
  return image;
}

/* pixels [height, width, 4] -> to [width, factor * height, 4]: higher, with rows and columns exchanged */
function stretch(pixels, width, height, factor, to) {
  const side = 4 * height * factor;
  for (let y = 0; y < height * factor; y++) {
    const middle = (y + 0.5) / factor - 0.5;
    const first = Math.floor(middle) - TAPS / 2 + 1;
    const taps = Array.from({ length: TAPS }, (_, i) => first + i);
    const [a, b, c, d, e, f] = taps.map((tap) => at(middle - tap));
    const [ra, rb, rc, rd, re, rf] = taps.map((tap) => 4 * width * Math.max(0, Math.min(height - 1, tap)));
    for (let i = 0; i < 4 * width; i++) {
      to[(i >> 2) * side + 4 * y + (i & 3)] = a * pixels[ra + i] + b * pixels[rb + i] + c * pixels[rc + i]
        + d * pixels[rd + i] + e * pixels[re + i] + f * pixels[rf + i];
    }
  }
  return to;
}
