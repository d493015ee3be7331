/* The discriminator's opinion of the face that is shown: a meter, whose weights are fetched when it is opened. */

import { link } from "./address.js";
import { latest } from "./engine.js";
import { hint, make, t } from "./parts.js";

const REST = 150; // milliseconds without a new face
const AGAIN = 5000; // milliseconds until a request that the server refused is made again

/* canvas: shows the face -> {element, show(face)}, to be called when another one is painted */
export function opinionMeter(engine, canvas) {
  let face = null;
  let resting = 0;
  const meter = make("meter", { min: 0, max: 1, "aria-label": t("Discriminator's opinion") });
  const verdict = make("p", { className: "hint", role: "status" });
  const element = make("details", { className: "others opinion" },
    make("summary", {}, t("Discriminator's opinion")), meter, verdict);

  const judge = latest(async ({ checkpoint }) => {
    const [[logit], { logits, among }] = await Promise.all([engine.judge(checkpoint, [canvas]), engine.rivals(checkpoint)]);
    return { share: logits.filter((other) => other < logit).length / logits.length, among };
  }, ({ share, among }, shown) => {
    const percent = Math.round(100 * share);
    meter.value = share;
    meter.dataset.shown = link(shown);
    meter.setAttribute("aria-valuetext", `${percent}%`);
    verdict.textContent = among === "reals"
      ? t("To the discriminator, more real than {percent}% of photos it has never seen", { percent })
      : t("To the discriminator, more real than {percent}% of the faces made up here", { percent });
  }, (error) => {
    verdict.textContent = error.message;
    setTimeout(() => show(face), AGAIN);
  });

  function show(now) {
    face = now;
    if (!element.open || element.hidden || !face) return;
    clearTimeout(resting);
    resting = setTimeout(() => judge(face), REST);
  }

  element.ontoggle = () => {
    if (element.open && !verdict.textContent) verdict.textContent = t("Fetching the discriminator …");
    show(face);
  };
  return { element, show };
}
