/* The page's address: the tab that is open, and everything that the face of Explore is made of.

   A face (here and in engine.js): {checkpoint, seed, truncation, edits: {dimension: value}, directions: {name: standard
   deviations}, walk: [numbers of neighbours], origin: z in the seed's place or null, shift: z that is added or null,
   moment: images seen or null, units: {"layer.channel": factor of that channel of the generator}}. */

import { MAX_SEED } from "./parts.js";

// A Space's page is a frame in the Hub's, whose own address a visitor sees, sends and opens: it hands its hash to the frame
// as that is opened, and takes one by postMessage (huggingface.co/docs/hub/spaces-handle-url-parameters).
const HUB = "https://huggingface.co";
const inHub = parent !== window && document.referrer.startsWith(`${HUB}/`);

/* The address to send: the Hub's where the page is in it and knows its name there; space: owner/name or null. */
export const shareable = (space) =>
  inHub && space ? `${HUB}/spaces/${space}${location.hash}` : location.href;

/* What a face is like in all that it leaves out. */
export const PLAIN = {
  seed: 0, truncation: 1, edits: {}, directions: {}, walk: [], origin: null, shift: null, moment: null, units: {},
};

export const MAX_TRUNCATION = 2; // as in face_spec.py, and so are the next two
export const MAX_WALK = 50;
const MAX_Z = 6;
const MAX_FACTOR = 10; // of a channel

/* A face as part of an address. */
export function link(face) {
  const { checkpoint, seed, truncation, edits, directions, walk, origin, shift, moment, units } = { ...PLAIN, ...face };
  const pairs = (values) => Object.entries(values).map((pair) => pair.join(":")).join(",");
  const short = (values) => (values ?? []).map((value) => Math.round(value * 100)).join("."); // a hundred numbers, briefly
  const [w, t] = [walk.join("."), String(moment ?? "")];
  const rest = { z: pairs(edits), d: pairs(directions), w, o: short(origin), s: short(shift), t, u: pairs(units) };
  const there = Object.entries(rest).filter(([, value]) => value !== "");
  return new URLSearchParams({ face: checkpoint, seed, truncation, ...Object.fromEntries(there) }).toString();
}

/* What a link becomes on its way through mails and chats: & as HTML, the bracket or full stop that stood behind it, and
   everything in percent signs once more. A link of ours ends in none of these. */
const mended = (text) => text.replace(/&(amp;)+/g, "&").replace(/([)\]}>"'.,;:!?]|%20|%22|%3E|%0A)+$/, "");
const decoded = (text) => text.replace(/(%[0-9A-F]{2})+/gi, (codes) => {
  try {
    return decodeURIComponent(codes);
  } catch {
    return codes;
  }
});
const readings = () => {
  const [once, twice] = [location.hash, decoded(location.hash)].map((text) => new URLSearchParams(mended(text.slice(1))));
  return /%25[0-9A-F]{2}/i.test(location.hash) ? [twice, once] : [once, twice];
};
const hash = () => readings().find((values) => values.has("face") || values.has("seed") || values.has("tab")) ?? readings()[0];

/* The face of the address; null where it has none, or one of a checkpoint that is not among `names`. */
export function linkedFace(names) {
  const nameIn = (values) => values.get("face")?.trim() ?? (values.has("seed") ? names[0] : null);
  const values = readings().find((reading) => names.includes(nameIn(reading)));
  if (!values) return null;
  const checkpoint = nameIn(values);
  const within = (text, low, high, otherwise) => {
    const number = Number.parseFloat(text);
    return Number.isNaN(number) ? otherwise : Math.max(low, Math.min(high, number));
  };
  const pairs = (text, pattern, most) => {
    const found = (text ?? "").split(",").map((pair) => /^(.+):([^:]+)$/.exec(pair) ?? []);
    const good = found.filter(([, key, value]) => pattern.test(key) && Number.isFinite(Number(value)));
    return Object.fromEntries(good.map(([, key, value]) => [key, within(value, -most, most, 0)]));
  };
  const latent = (text) => {
    const found = (text ?? "").split(".").filter((value) => /^-?\d{1,3}$/.test(value));
    return found.length ? found.map((value) => within(value, -100 * MAX_Z, 100 * MAX_Z, 0) / 100) : null;
  };
  const walk = (values.get("w") ?? "").split(".").filter((step) => /^\d{1,9}$/.test(step));
  return {
    checkpoint,
    seed: Math.floor(within(values.get("seed"), 0, MAX_SEED, 0)),
    truncation: within(values.get("truncation"), 0, MAX_TRUNCATION, 1),
    edits: pairs(values.get("z"), /^\d{1,4}$/, MAX_Z),
    directions: pairs(values.get("d"), /^[^,:]+$/, 20),
    walk: walk.slice(0, MAX_WALK).map(Number),
    origin: latent(values.get("o")),
    shift: latent(values.get("s")),
    units: pairs(values.get("u"), /^\d\.\d{1,4}$/, MAX_FACTOR),
    moment: /^\d{1,12}$/.test(values.get("t") ?? "") ? Number(values.get("t")) : null,
  };
}

/* The tab of the address: a link that names none leads to Explore. */
export const linkedTab = () => hash().get("tab") ?? "explore";

function write(how, tab, face) {
  const values = new URLSearchParams(face);
  const tabbed = tab === "explore" ? {} : { tab };
  const text = new URLSearchParams([...Object.entries(tabbed), ...values].filter(([name]) => name)).toString();
  if (text !== location.hash.slice(1)) {
    history[how](history.state, "", `${location.pathname}${location.search}${text ? "#" : ""}${text}`);
  }
  if (inHub) parent.postMessage({ hash: location.hash }, HUB); // what a link in the page has opened, too
}

/* Write a face, or the tab that is open, into the address; how: "pushState", a step of the Back button, or "replaceState". */
export const writeFace = (face, how) => write(how, linkedTab(), link(face));

export function writeTab(tab) {
  const values = hash();
  values.delete("tab");
  write("replaceState", tab, values.toString());
}

/* Show a face in Explore: whoever shows faces and tabs follows the address. */
export const openInExplore = (face) => (location.hash = link(face));
