/* Where a seed becomes a z in the browser, to the same numbers as dcgan/latents.py, demo/face_spec.py and
   latent/arithmetic.py. A z is a Float32Array [nz]. */

import { t } from "./parts.js";

const STEP = 0.35; // radians from a face to its neighbours
export const NEIGHBOURS = 8;

/* The Mersenne Twister (Matsumoto and Nishimura 1998) begun with a seed; each call gives 32 random bits. */
function mersenneTwister(seed) {
  const [n, m] = [624, 397];
  const words = new Uint32Array(n);
  words[0] = seed;
  for (let i = 1; i < n; i++) words[i] = Math.imul(1812433253, words[i - 1] ^ (words[i - 1] >>> 30)) + i;
  let at = n;
  return () => {
    if (at === n) {
      for (let i = 0; i < n; i++) {
        const joined = (words[i] & 0x80000000) | (words[(i + 1) % n] & 0x7fffffff);
        words[i] = words[(i + m) % n] ^ (joined >>> 1) ^ (joined & 1 ? 0x9908b0df : 0);
      }
      at = 0;
    }
    let bits = words[at++];
    bits ^= bits >>> 11;
    bits ^= (bits << 7) & 0x9d2c5680;
    bits ^= (bits << 15) & 0xefc60000;
    return (bits ^ (bits >>> 18)) >>> 0;
  };
}

/* torch.randn(nz, generator=torch.Generator("cpu").manual_seed(seed)): Box and Muller's normal numbers, which torch
   makes of 16 uniform ones at a time, and of two where there are fewer than 16. */
export function seedLatent(seed, nz) {
  const random = mersenneTwister(seed);
  const z = new Float32Array(nz);
  const setPair = (i, j, uniform, angle) => {
    const radius = Math.sqrt(-2 * Math.log1p(-uniform));
    z[i] = radius * Math.cos(angle);
    z[j] = radius * Math.sin(angle); // of an odd number of values the last has no partner, and this writes nothing
  };
  if (nz < 16) {
    const uniform = () => ((random() & 0x1fffff) * 2 ** 32 + random()) / 2 ** 53;
    for (let i = 0; i < nz; i += 2) {
      const angle = 2 * Math.PI * uniform();
      setPair(i, i + 1, uniform(), angle);
    }
    return z;
  }
  const fill = (from, to) => {
    for (let i = from; i < to; i++) z[i] = (random() & 0xffffff) / 2 ** 24;
  };
  const toNormal = (from) => {
    for (let i = from; i < from + 8; i++) {
      setPair(i, i + 8, z[i], Math.fround(Math.fround(2 * Math.PI) * z[i + 8])); // in float32, as torch has it
    }
  };
  fill(0, nz);
  for (let i = 0; i + 16 <= nz; i += 16) toNormal(i);
  if (nz % 16) {
    fill(nz - 16, nz); // what is left over is made anew, with what came before it
    toNormal(nz - 16);
  }
  return z;
}

/* The z of a face's seed or origin, and of the neighbours walked to from there. */
export function walkedLatent({ seed, walk, origin }, nz) {
  let z = origin ? Float32Array.from(origin) : seedLatent(seed, nz);
  for (const number of walk) {
    const other = seedLatent(number, nz);
    z = z.map((value, i) => Math.cos(STEP) * value + Math.sin(STEP) * other[i]);
  }
  return z;
}

/* The z of a whole face. directions: {name: vector} */
export function faceLatent(face, nz, directions) {
  const z = walkedLatent(face, nz).map((value) => face.truncation * value);
  for (const [dimension, value] of Object.entries(face.edits)) z[dimension] = value;
  for (const [name, amount] of Object.entries(face.directions)) directions[name].forEach((value, i) => (z[i] += amount * value));
  (face.shift ?? []).forEach((value, i) => (z[i] += value));
  return z;
}

const lerp = (a, b, part) => a.map((value, i) => value + (b[i] - value) * part);

function slerp(a, b, part) {
  const [lengthA, lengthB] = [Math.sqrt(dot(a, a)), Math.sqrt(dot(b, b))];
  const cosine = dot(a, b) / (lengthA * lengthB);
  if (!(Math.abs(cosine) <= 0.9995)) return lerp(a, b, part);
  const angle = Math.acos(cosine);
  const [ofA, ofB] = [Math.sin((1 - part) * angle) / lengthA, Math.sin(part * angle) / lengthB];
  const length = lengthA + (lengthB - lengthA) * part;
  return a.map((value, i) => ((ofA * value + ofB * b[i]) / Math.sin(angle)) * length);
}

/* `steps` latents evenly spaced along the stops, both ends included; with `loop` back to the first, not repeated. */
export function latentPath(stops, steps, spherical, loop) {
  const all = loop ? [...stops, stops[0]] : stops;
  const legs = all.length - 1;
  const spaces = loop ? steps : steps - 1;
  return Array.from({ length: steps }, (_, i) => {
    const leg = Math.min(Math.floor((i * legs) / spaces), legs - 1);
    return (spherical ? slerp : lerp)(all[leg], all[leg + 1], (i * legs - leg * spaces) / spaces);
  });
}

const mean = (latents) => Array.from(latents[0], (_, i) => latents.reduce((sum, z) => sum + z[i], 0) / latents.length);
const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);

/* The x of matrix x = vector by Gauss's elimination, without exchanges: for a positive definite matrix. */
function solve(matrix, vector) {
  const rows = matrix.map((row, i) => [...row, vector[i]]);
  rows.forEach((pivot, k) => {
    for (const row of rows.slice(k + 1)) {
      const factor = row[k] / pivot[k];
      for (let j = k; j < row.length; j++) row[j] -= factor * pivot[j];
    }
  });
  const x = vector.map(() => 0);
  for (let i = x.length - 1; i >= 0; i--) x[i] = (rows[i][x.length] - dot(x, rows[i])) / rows[i][i];
  return x;
}

/* The direction, of length 1, from latents of faces that lack a trait to those that have it. signal: how far these lie
   apart, as a covariance. */
export function traitDirection(having, lacking, signal) {
  const [ofHaving, ofLacking] = [mean(having), mean(lacking)];
  const difference = ofHaving.map((value, i) => value - ofLacking[i]);
  if (Math.hypot(...difference) < 1e-4) throw new Error(t("The faces that have it and those that lack it are the same."));
  const noise = 1 / having.length + 1 / lacking.length;
  const both = signal.map((row, i) => row.map((value, j) => value + (i === j ? noise : 0)));
  const vector = solve(both, signal.map((row) => dot(row, difference)));
  const length = Math.hypot(...vector);
  return vector.map((value) => Math.round((1000 * value) / length) / 1000);
}

/* The z of a sum of faces: a mean, less a mean, and a mean added. */
export function latentSum(start, minus, plus) {
  const [from, less, more] = [start, minus, plus].map(mean);
  return from.map((value, i) => Math.round(100 * Math.max(-6, Math.min(6, value - less[i] + more[i]))) / 100);
}
