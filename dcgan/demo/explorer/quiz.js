/* Spot the fake: pairs of a real face and a generated one, the visitor against the discriminator. */

import { button, cut, div, hint, make, randomSeed, t, thumb } from "./parts.js";

export const PAIRS = 20;
const COLUMNS = 8; // of a sheet

/* Pairs of generated faces and of real images {checkpoint, sheet, cells}: [{sides: two canvases, fake: which of them,
   machine: which one the discriminator takes for it, or null}] */
export async function quizPairs(engine, { checkpoint, sheet, cells }) {
  if (cells.length < PAIRS) throw new Error(t("The quiz needs {n} real pictures, and there are {count}.", { n: PAIRS, count: cells.length }));
  const fakes = await engine.sheet(checkpoint, Array.from({ length: PAIRS }, randomSeed), COLUMNS);
  const pairs = Array.from({ length: PAIRS }, (_, i) => [cut(fakes, COLUMNS, i), cut(sheet, COLUMNS, cells[i])]);
  const judged = await engine.judge(checkpoint, pairs.flat()).catch(() => null); // the quiz goes on without it
  return pairs.map((sides, i) => {
    const fake = Math.random() < 0.5 ? 0 : 1;
    const machine = judged && (judged[2 * i] > judged[2 * i + 1] ? 1 - fake : fake);
    return { sides: fake ? sides.reverse() : sides, fake, machine };
  });
}

/* Play in `board`; leave() and again() are what its buttons do. */
export function playQuiz(board, pairs, leave, again) {
  const judged = pairs[0].machine !== null;
  let score = { mine: 0, machine: 0, round: 0 };

  function answer(side) {
    const { fake, machine } = pairs[score.round];
    const right = side === fake;
    score = { mine: score.mine + Number(right), machine: score.machine + Number(machine === fake), round: score.round + 1 };
    if (score.round === PAIRS) return showEnd();
    const standing = judged ? t("You {mine}, discriminator {machine}.", score) : t("You {mine}.", score);
    return showRound(`${right ? t("Right.") : t("Wrong.")} ${standing}`);
  }

  function showRound(text) {
    const sides = [t("Left"), t("Right")].map((name, side) =>
      thumb(pairs[score.round].sides[side], t("{side} is the fake", { side: name }), () => answer(side)));
    board.replaceChildren(
      make("h2", {}, t("Which one is the fake? {n} of {all}", { n: score.round + 1, all: PAIRS })),
      div("sides", ...sides), hint(text, { role: "status" }), button(t("Give up"), leave));
    sides[0].focus({ preventScroll: true });
  }

  function showEnd() {
    const { mine, machine } = score;
    const end = !judged ? t("That was all.") : mine > machine ? t("You see better than the discriminator.")
      : mine < machine ? t("The discriminator sees better than you.") : t("A draw.");
    const all = { ...score, all: PAIRS };
    const result = judged ? t("You {mine} of {all}, discriminator {machine} of {all}.", all) : t("You {mine} of {all}.", all);
    const once = button(t("Play again"), again, { className: "button primary" });
    board.replaceChildren(make("h2", {}, end), make("p", { className: "score", role: "status" }, result),
      div("bar", once, button(t("Back to the grids"), leave)));
    once.focus();
  }

  showRound(t("Click the face that nobody has."));
}
