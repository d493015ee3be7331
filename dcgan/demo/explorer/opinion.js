/* The discriminator's opinion of the face that is shown: a meter, whose weights are fetched when it is opened. */

import { link } from "./address.js";
import { latest } from "./engine.js";
import { calmed, make, messageLine, t } from "./parts.js";
import { tryAgainLater } from "./server.js";

const REST = 150; // milliseconds without a new face

/* canvas: shows the face -> {element, show(face)}, to be called when another one is painted */
export function opinionMeter(engine, canvas) {
  let face = null;
  const meter = make("meter", { min: 0, max: 1, "aria-label": t("Discriminator's opinion") });
  const verdict = messageLine("hint");
  const element = make("details", { className: "others" }, make("summary", {}, t("Discriminator's opinion")), meter, verdict.element);

  const judge = latest(async ({ checkpoint }) => {
    const [[logit], { logits, among }] = await Promise.all([engine.judge(checkpoint, [canvas]), engine.rivals(checkpoint)]);
    return { share: logits.filter((other) => other < logit).length / logits.length, among };
  }, ({ share, among }, shown) => {
    const percent = Math.round(100 * share);
    meter.value = share;
    meter.dataset.shown = link(shown);
    meter.setAttribute("aria-valuetext", `${percent}%`);
    verdict.say(among === "reals"
      ? t("To the discriminator, more real than {percent}% of photos it has never seen", { percent })
      : t("To the discriminator, more real than {percent}% of the faces made up here", { percent }));
  }, (error) => {
    verdict.fail(error);
    if (!error.refused) tryAgainLater(); // its weights did not come
  });
  const judgeSoon = calmed(REST, () => judge(face));

  function show(now) {
    face = now;
    if (element.open && !element.hidden && face) judgeSoon();
  }

  element.ontoggle = () => {
    if (element.open && !verdict.element.textContent) verdict.say(t("Fetching the discriminator …"));
    show(face);
  };
  return { element, show };
}
