/* Animations as files, made in the browser: a GIF of frames, a film of a canvas. A server's, where there is one, are
   made by dcgan/pictures.py. */

import { GIFEncoder, applyPalette, quantize } from "./gifenc.js";
import { markedFilm, markedGif } from "./provenance.js";

const COLOURS = 256;
const BITS = 4_000_000; // a second of film
const CODECS = { mp4: "video/mp4;codecs=avc1.42E01E", webm: "video/webm" };

/* The kind of film that this browser records, "mp4" or "webm", if any. */
export const filmKind = Object.keys(CODECS).find((kind) => globalThis.MediaRecorder?.isTypeSupported(CODECS[kind]));

/* A GIF that repeats for ever, with one palette, that of the picture `sample`, for all frames: no flicker.
   frame(i) -> ImageData; order: the frames to show, some perhaps twice; packet: XMP */
export async function gif(frame, order, seconds, sample, packet) {
  const palette = quantize(sample.data, COLOURS);
  const pixels = new Map(); // of the frames so far
  const encoder = GIFEncoder();
  const delay = Math.max(20, (1000 * seconds) / order.length); // milliseconds; browsers slow down anything faster
  for (const [number, i] of order.entries()) {
    const { data, width, height } = frame(i);
    if (!pixels.has(i)) pixels.set(i, applyPalette(data, palette));
    encoder.writeFrame(pixels.get(i), width, height, { delay, ...(number ? {} : { palette }) });
    await new Promise((done) => setTimeout(done)); // the page goes on
  }
  encoder.finish();
  return markedGif(encoder.bytes(), packet);
}

/* A film of a canvas, recorded while show(0 to 1) is called for what it shows; it takes its time. */
export async function film(canvas, show, seconds, packet) {
  const pieces = [];
  show(0); // what has not been painted cannot be recorded
  const recorder = new MediaRecorder(canvas.captureStream(), { mimeType: CODECS[filmKind], videoBitsPerSecond: BITS });
  recorder.ondataavailable = ({ data }) => pieces.push(data);
  const ended = new Promise((resolve, reject) => {
    recorder.onstop = resolve;
    recorder.onerror = ({ error }) => reject(error);
  });
  recorder.start();
  const begun = performance.now();
  requestAnimationFrame(function step(now) {
    const part = Math.max(0, now - begun) / (1000 * seconds);
    show(Math.min(1, part));
    if (part < 1) requestAnimationFrame(step);
    else recorder.stop();
  });
  await ended;
  return markedFilm(new Blob(pieces, { type: `video/${filmKind}` }), packet);
}
