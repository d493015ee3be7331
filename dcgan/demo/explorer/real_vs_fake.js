/* Real vs fake: two grids, the reals nearest to a fake, and a quiz. Its value says what the server has answered:
   {kind: "grids" | "closest" | "quiz" | "error", id, ...}; send(what, {id, ...details}) asks for another.  */

import { button, make, messageLine, pickable, prefersStillness, spelled, t } from "./parts.js";

const SILENT = 20_000; // milliseconds
const SIDE = 8; // a grid is SIDE x SIDE faces

export const mount = (root, { value, trigger }) => realVsFake(root, value, trigger);

function realVsFake(root, value, send) {
  let grids = null;
  let quiz = null;
  let round = 0;
  let answers = [];
  let picked = null;

  // One request at a time: of two answers that arrive together only the last would be seen. The id makes each answer
  // a new value, where the page would overlook one that says the same again.
  const waiting = [];
  let asked = 0;
  let count = 0;
  let overdue = 0;
  const next = () => {
    if (asked || !waiting.length) return;
    const [what, details] = waiting.shift();
    asked = ++count;
    clearTimeout(overdue);
    overdue = setTimeout(() => { // refused before it came to anyone who answers
      asked = 0;
      message.say(t("The server does not answer. Is it still running?"));
      next();
    }, SILENT);
    send(what, { ...details, id: asked });
  };
  const ask = (...request) => {
    waiting.push(request);
    next();
  };

  const message = messageLine();
  const note = make("p", { className: "hint" });
  const shuffle = make("input", { type: "number", className: "number", min: 0, max: 999_999, value: 0, "aria-label": t("Shuffle number") });
  const view = (number) => {
    shuffle.value = number;
    ask("grids", { shuffle: number });
  };
  shuffle.onchange = () => view(Math.min(999_999, Math.max(0, Math.floor(Number(shuffle.value) || 0))));
  const again = button(t("Shuffle"), () => view(Math.floor(Math.random() * 1e6)));
  const play = button(t("Spot the fake"), () => ask("quiz", {}), { className: "button primary" });
  const real = make("img", { className: "faces", hidden: true, alt: t("64 real images in a grid") });
  const fake = make("img", { className: "faces", alt: t("64 generated faces in a grid") });
  const seedOf = (index) => grids.shuffle * SIDE * SIDE + index;
  const pick = (index) => {
    if (!grids) return;
    picked = seedOf(index);
    closest.replaceChildren(make("p", { className: "hint" }, t("Looking …")));
    ask("closest", { seed: picked });
  };
  const fakes = pickable(fake, SIDE, SIDE, (index) => t("Fake {n}: its nearest training images", { n: index + 1 }), pick);
  fakes.hidden = true;
  const closest = make("section", { className: "closest", "aria-label": t("Nearest training images"), "aria-live": "polite" });
  const both = make("div", { className: "pair" },
    make("figure", {}, make("figcaption", {}, make("h2", {}, t("Real"))), real),
    make("figure", {}, make("figcaption", {}, make("h2", {}, t("Fake")), make("span", { className: "hint" }, t("Click one for its nearest training images"))), fakes));
  const board = make("section", { className: "quiz", "aria-label": t("Spot the fake"), hidden: true });
  const all = make("div", {}, both, closest);

  root.replaceChildren(
    make("div", { className: "explorer single" },
      make("div", { className: "bar wrap" }, play, make("span", { className: "grow" }), shuffle, again),
      message.element, note, all, board));

  const picture = (png) => `data:image/png;base64,${png}`;

  const shows = {
    grids(answer) {
      grids = answer;
      note.textContent = spelled(answer.note);
      shuffle.value = answer.shuffle;
      fakes.hidden = false;
      fake.src = picture(answer.fake);
      real.hidden = !answer.real;
      if (answer.real) real.src = picture(answer.real);
      closest.replaceChildren();
      // A fake that was clicked before another checkpoint's came in its place is looked at there.
      if (picked !== null && picked >= seedOf(0) && picked < seedOf(SIDE * SIDE)) pick(picked - seedOf(0));
      else picked = null;
      leave();
    },
    closest(answer) {
      if (answer.seed !== picked || answer.id < asked) return;
      const face = (png, caption) => make("figure", {}, make("img", { className: "faces", src: picture(png), alt: caption }), make("figcaption", {}, caption));
      const share = answer.closer_than;
      const percent = share === null ? 0 : Math.min(99, Math.floor(100 * share));
      const verdict =
        share === null ? t("Too few images are held out to say how close that is.")
        : share >= 0.99 ? t("Closer than {percent}% of unseen photos are: copied.", { percent })
        : share >= 0.9 ? t("Closer than {percent}% of unseen photos are: suspiciously alike.", { percent })
        : t("Closer than {percent}% of unseen photos are: no closer than a stranger.", { percent });
      closest.replaceChildren(
        make("p", { className: "verdict" }, verdict),
        make("div", { className: "likenesses" }, face(answer.face, t("Fake, seed {seed}", { seed: answer.seed })),
          ...answer.images.map((png, i) => face(png, t("Real, {d} levels apart", { d: answer.distances[i].toFixed(1) })))));
      closest.scrollIntoView({ block: "nearest", behavior: prefersStillness() ? "auto" : "smooth" });
    },
    quiz(answer) {
      quiz = answer;
      [round, answers] = [0, []];
      note.textContent = spelled(answer.note);
      [all.hidden, board.hidden] = [true, false];
      showRound();
    },
    error: () => {},
  };

  function showRound(focus = true) {
    const sides = [t("Left"), t("Right")].map((side, i) => {
      const one = button("", () => choose(i), { className: "thumb", "aria-label": t("{side} is the fake", { side }) });
      one.append(make("img", { className: "faces", src: picture(quiz.pictures[2 * round + i]), alt: "" }));
      return one;
    });
    board.replaceChildren(
      make("h2", {}, t("Which one is the fake? {n} of {all}", { n: round + 1, all: quiz.fakes.length })),
      make("div", { className: "sides" }, ...sides),
      make("p", { className: "hint", role: "status" }, round ? told() : t("Click the face that nobody has.")),
      button(t("Give up"), leave));
    if (focus) sides[0].focus({ preventScroll: true });
  }

  const scores = () => [answers, quiz.discriminator].map((given) => given.slice(0, round).filter((side, i) => side === quiz.fakes[i]).length);

  function told() {
    const [mine, machine] = scores();
    const last = answers[round - 1] === quiz.fakes[round - 1] ? t("Right.") : t("Wrong.");
    return `${last} ${t("You {mine}, discriminator {machine}.", { mine, machine })}`;
  }

  function choose(side) {
    answers.push(side);
    round++;
    if (round < quiz.fakes.length) return showRound();
    const [mine, machine] = scores();
    const end = mine > machine ? t("You see better than the discriminator.") : mine < machine ? t("The discriminator sees better than you.") : t("A draw.");
    const once = button(t("Play again"), () => ask("quiz", {}), { className: "button primary" });
    board.replaceChildren(
      make("h2", {}, end),
      make("p", { className: "score", role: "status" }, t("You {mine} of {all}, discriminator {machine} of {all}.", { mine, machine, all: round })),
      make("div", { className: "bar" }, once, button(t("Back to the grids"), leave)));
    once.focus();
  }

  function leave() {
    [all.hidden, board.hidden] = [false, true];
    if (grids) note.textContent = spelled(grids.note);
  }

  function open(answer) {
    // Without an id the checkpoint, or the visitor's own photos, have changed; what waits is then asked about these.
    asked = answer.id === undefined || answer.id === asked ? 0 : asked;
    if (!asked) clearTimeout(overdue);
    message.say(answer.error ?? "");
    if (answer.error && picked) closest.replaceChildren();
    shows[answer.kind]?.(answer);
    next();
  }

  if (value.kind) open(value);
  else ask("grids", { shuffle: 0 });
  return { open };
}
