/* Real vs fake: a grid of real images beside one of fakes, the training images nearest to a fake, and a quiz.

   value: {checkpoint: name}, or {own: {picture: {path}, count} or null} when the visitor's own photos have come or gone,
   or {reading: whether they are being read}. gradio.server, where there is one:
     reals({checkpoint, shuffle}) -> {picture, count, checkpoint: whose fakes belong beside them, note: sentences}
     quiz({checkpoint}) -> the same, 20 images that the discriminator has never seen, where there are as many
     nearest({checkpoint, seed}) -> {picture, distances, closer_than}
   Pictures have eight images in a row. Without a server the real images are those that engine.reals has, if any, or the
   visitor's own, which then do not leave the browser. */

import { engineOf } from "./engine.js";
import {
  bitmap, button, cell, clamp, cut, div, figure, hint, make, messageLine, pickable, prefersStillness, randomSeed, someSeeds,
  spelled, t, thumb,
} from "./parts.js";
import { asking, whenAnswering } from "./server.js";

const SIDE = 8; // a grid is SIDE x SIDE images
const PAIRS = 20; // of the quiz
const MAX_SHUFFLE = 999_999;
const MAX_PHOTOS = 512;

const range = (count) => Array.from({ length: count }, (_, i) => i);

/* The middles of photos as a sheet; null if none of them can be read. */
async function photoSheet(files, size) {
  const sheet = new OffscreenCanvas(SIDE * size, Math.ceil(files.length / SIDE) * size);
  const context = sheet.getContext("2d");
  let count = 0;
  for (const file of files) { // one after the other: each may be large
    const photo = await createImageBitmap(file).catch(() => null);
    if (!photo) continue;
    const side = Math.min(photo.width, photo.height);
    const [x, y] = [(photo.width - side) / 2, (photo.height - side) / 2];
    const small = { resizeWidth: size, resizeHeight: size, resizeQuality: "high" };
    const square = await createImageBitmap(photo, x, y, side, side, small);
    context.drawImage(square, (count % SIDE) * size, Math.floor(count / SIDE) * size);
    [photo, square].forEach((one) => one.close());
    count++;
  }
  return count ? { sheet, count } : null;
}

export async function mount(root, { value, server: functions }) {
  const engine = engineOf(functions);
  const server = asking(functions);
  const { size, ...summary } = await engine.open(value.checkpoint);
  let checkpoint = summary.name;
  let own = null; // {sheet, count} of the visitor's photos
  let shown = null; // {number, checkpoint, note, sheet, cells, fakes}
  let latest = 0;
  let picked = null; // the seed whose nearest images are shown

  const message = messageLine();
  const note = hint("");
  const shuffle = make("input", { type: "number", className: "number", min: 0, max: MAX_SHUFFLE, value: 0 });
  shuffle.onchange = () => load(clamp(Math.floor(shuffle.value), 0, MAX_SHUFFLE));
  const again = button(t("Shuffle"), () => load(Math.floor(Math.random() * (MAX_SHUFFLE + 1))));
  const play = button(t("Spot the fake"), startQuiz, { className: "button primary" });
  const real = figure("faces", t("64 real images in a grid"));
  const fake = figure("faces", t("64 generated faces in a grid"));
  const nameOf = (index) => t("Fake {n}: its nearest training images", { n: index + 1 });
  const fakes = server.nearest ? pickable(fake, SIDE, SIDE, nameOf, pick) : fake;
  const invitation = make("span", { className: "hint", hidden: !server.nearest }, t("Click one for its nearest training images"));
  const closest = make("section", { className: "closest", "aria-label": t("Nearest training images"), "aria-live": "polite" });
  const reals = make("figure", {}, make("figcaption", {}, make("h2", {}, t("Real"))), real);
  const both = div("pair", reals, make("figure", {}, make("figcaption", {}, make("h2", {}, t("Fake")), invitation), fakes));
  const board = make("section", { className: "quiz", "aria-label": t("Spot the fake"), hidden: true });
  const all = div("choices", both, closest);
  const challenge = div("hero",
    div("", make("h2", {}, t("Can you tell a real face from a made-up one?")),
      hint(t("{n} pairs, you against the discriminator.", { n: PAIRS }))), play);
  const bar = div("bar wrap", note, div("field", make("label", {}, t("Shuffle number"), shuffle)), again);
  all.prepend(challenge, bar);
  if (!server.reals) all.prepend(ownPhotos());
  root.replaceChildren(div("explorer single", message.element, all, board));

  /* Real images for a shuffle number, or, without one, for the quiz: {sheet, cells: where in it, checkpoint, note}. */
  async function realsFor(number) {
    const fakeNote = ["Fake: made up by {name}.", { name: checkpoint }];
    const some = (count) => {
      const most = Math.min(count, SIDE * SIDE);
      return number === undefined ? someSeeds(most, range(count)) : range(most).map((i) => (i + number * SIDE * SIDE) % count);
    };
    if (own) {
      const note = [["Real: your own photos ({count}).", { count: own.count }], fakeNote];
      return { ...own, cells: some(own.count), checkpoint, note };
    }
    if (server.reals) {
      const found = await (number === undefined ? server.quiz({ checkpoint }) : server.reals({ checkpoint, shuffle: number }));
      return { ...found, sheet: found.count ? await bitmap(found.picture) : null, cells: range(found.count) };
    }
    const given = await engine.reals(checkpoint);
    if (given) return { ...given, cells: some(given.count), checkpoint, note: [[given.note, { count: given.count }], fakeNote] };
    const note = [["There are no photographs on this page: here are fakes alone.", {}], fakeNote];
    return { sheet: null, cells: [], checkpoint, note };
  }

  /* Photos for a page without a server: the middles of what a visitor chooses. */
  function ownPhotos() {
    const input = make("input", { type: "file", multiple: true, accept: "image/*" });
    const forget = button(t("Forget my photos"), () => use(null), { hidden: true });
    const use = (photos) => {
      own = photos;
      forget.hidden = !own;
      return load(0);
    };
    input.onchange = async () => {
      note.textContent = t("Reading your photos …");
      const photos = await photoSheet([...input.files].slice(0, MAX_PHOTOS), size);
      input.value = "";
      await use(photos ?? own);
      if (!photos) message.say(t("there is no picture that can be read: give JPEG, PNG or WebP"));
    };
    const choose = make("label", { className: "button load" }, t("Use my own photos as the real ones"), input);
    return div("bar wrap", choose, forget, hint(t("They stay in your browser.")));
  }

  async function load(number) {
    const ticket = ++latest;
    shuffle.value = number;
    picked = null;
    closest.replaceChildren();
    if (!shown) note.textContent = t("Fetching real images …");
    try {
      const found = await realsFor(number);
      const sheet = await engine.sheet(found.checkpoint, range(SIDE * SIDE).map((i) => number * SIDE * SIDE + i), SIDE);
      if (ticket !== latest) return;
      shown = { ...found, number, fakes: sheet };
      message.say("");
      showGrids();
    } catch (error) {
      if (ticket !== latest) return;
      message.say(error.message);
      whenAnswering(() => ticket === latest && load(number));
    }
  }

  function showGrids() {
    [all.hidden, board.hidden] = [false, true];
    note.textContent = spelled(shown.note);
    reals.hidden = challenge.hidden = !shown.sheet;
    fake.width = fake.height = real.width = real.height = shown.fakes.width;
    fake.getContext("2d").drawImage(shown.fakes, 0, 0);
    const size = real.width / SIDE; // of a cell, also where there are too few images to fill the grid
    shown.cells.forEach((from, i) => {
      const to = [(i % SIDE) * size, Math.floor(i / SIDE) * size, size, size];
      real.getContext("2d").drawImage(...cell(shown.sheet, SIDE, from), ...to);
    });
    root.dataset.shown = `${shown.checkpoint} ${shown.number} ${shown.cells.length}`;
  }

  async function pick(index) {
    const seed = shown.number * SIDE * SIDE + index;
    const captioned = (sheet, i, caption) => make("figure", {}, cut(sheet, SIDE, i), make("figcaption", {}, caption));
    picked = seed;
    closest.replaceChildren(hint(t("Looking …")));
    try {
      const found = await server.nearest({ checkpoint: shown.checkpoint, seed });
      const sheet = await bitmap(found.picture);
      if (picked !== seed) return;
      const nearest = found.distances.map((d, i) => captioned(sheet, i, t("Real, {d} levels apart", { d: d.toFixed(1) })));
      closest.replaceChildren(
        make("p", { className: "verdict" }, verdict(found.closer_than)),
        div("likenesses", captioned(shown.fakes, index, t("Fake, seed {seed}", { seed })), ...nearest));
      closest.scrollIntoView({ block: "nearest", behavior: prefersStillness() ? "auto" : "smooth" });
    } catch (error) {
      if (picked === seed) closest.replaceChildren(hint(error.message));
    }
  }

  function verdict(share) {
    if (share === null) return t("Too few images are held out to say how close that is.");
    const percent = Math.min(99, Math.floor(100 * share));
    return share >= 0.99 ? t("Closer than {percent}% of unseen photos are: copied.", { percent })
      : share >= 0.9 ? t("Closer than {percent}% of unseen photos are: suspiciously alike.", { percent })
      : t("Closer than {percent}% of unseen photos are: no closer than a stranger.", { percent });
  }

  async function startQuiz() {
    play.disabled = true;
    try {
      const seeds = range(PAIRS).map(randomSeed);
      const found = await realsFor();
      const count = found.cells.length;
      if (count < PAIRS) throw new Error(t("The quiz needs {n} real pictures, and there are {count}.", { n: PAIRS, count }));
      const sheet = await engine.sheet(found.checkpoint, seeds, SIDE);
      const pictures = seeds.flatMap((_, i) => [cut(sheet, SIDE, i), cut(found.sheet, SIDE, found.cells[i])]);
      const judged = await engine.judge(found.checkpoint, pictures).catch(() => null); // the quiz goes on without it
      const pairs = seeds.map((_, i) => {
        const at = Math.random() < 0.5 ? 0 : 1;
        const sides = pictures.slice(2 * i, 2 * i + 2);
        const machine = judged && (judged[2 * i] > judged[2 * i + 1] ? 1 - at : at); // which it takes for the fake
        return { sides: at ? sides.reverse() : sides, fake: at, machine };
      });
      message.say("");
      note.textContent = spelled(found.note);
      [all.hidden, board.hidden] = [true, false];
      showRound(pairs, []);
    } catch (error) {
      message.say(error.message);
    }
    play.disabled = false;
  }

  function showRound(pairs, answers) {
    const round = answers.length;
    const right = (sides) => sides.filter((side, i) => side === pairs[i].fake).length;
    const judged = pairs[0].machine !== null;
    const score = { mine: right(answers), machine: right(pairs.slice(0, round).map((pair) => pair.machine)), all: round };
    if (round === pairs.length) return showEnd(score, judged);
    const sides = [t("Left"), t("Right")].map((name, side) =>
      thumb(pairs[round].sides[side], t("{side} is the fake", { side: name }), () => showRound(pairs, [...answers, side])));
    const last = round && (answers[round - 1] === pairs[round - 1].fake ? t("Right.") : t("Wrong."));
    const standing = judged ? t("You {mine}, discriminator {machine}.", score) : t("You {mine}.", score);
    const text = round ? `${last} ${standing}` : t("Click the face that nobody has.");
    board.replaceChildren(
      make("h2", {}, t("Which one is the fake? {n} of {all}", { n: round + 1, all: pairs.length })),
      div("sides", ...sides),
      make("p", { className: "hint", role: "status" }, text),
      button(t("Give up"), showGrids));
    sides[0].focus({ preventScroll: true });
  }

  function showEnd(score, judged) {
    const { mine, machine } = score;
    const end = !judged ? t("That was all.") : mine > machine ? t("You see better than the discriminator.")
      : mine < machine ? t("The discriminator sees better than you.") : t("A draw.");
    const result = judged ? t("You {mine} of {all}, discriminator {machine} of {all}.", score) : t("You {mine} of {all}.", score);
    const once = button(t("Play again"), startQuiz, { className: "button primary" });
    board.replaceChildren(make("h2", {}, end), make("p", { className: "score", role: "status" }, result),
      div("bar", once, button(t("Back to the grids"), showGrids)));
    once.focus();
  }

  load(0);
  return {
    open: async (value) => {
      if (value.reading !== undefined) {
        note.textContent = value.reading ? t("Reading your photos …") : spelled(shown?.note ?? []);
        return;
      }
      if (value.checkpoint !== undefined) checkpoint = value.checkpoint;
      if (value.own) {
        const [server] = import.meta.url.split("/gradio_api/");
        own = { ...value.own, sheet: await bitmap(`${server}/gradio_api/file=${value.own.picture.path}`) };
      } else if (value.own === null) own = null;
      load(own && value.own ? 0 : Number(shuffle.value));
    },
  };
}
