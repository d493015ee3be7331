/* Find my face: a photo's face beside the nearest one that the generator draws, while it is searched. Its value says
   how far the server is: {kind: "nothing" | "looking" | "found" | "refused", ...}; stop() ends the search. */

import { openInExplore } from "./address.js";
import { button, make, t } from "./parts.js";

export const mount = (root, { trigger }) => finder(root, () => trigger("stop", {}));

function finder(root, stop) {
  let found = null;
  let wanted = false; // a photo has been given, and not taken away
  let stopped = false;

  const target = make("img", { className: "faces", alt: t("Face in the photo") });
  const face = make("img", { className: "faces", alt: t("Nearest face of the generator") });
  const bar = make("progress", { max: 1, value: 0, "aria-label": t("Search") });
  const state = make("p", { className: "hint", role: "status" });
  const centre = make("p", { className: "hint", hidden: true }, t("No face was found in this photo: its centre is used."));
  const stopping = button(t("Stop"), () => {
    stopped = true;
    stop();
    show();
  });
  const edit = button(t("Edit in Explore"), () => {
    const { checkpoint, origin } = found;
    openInExplore({ checkpoint, origin });
  }, { className: "button primary" });
  const both = make("div", { className: "sides" },
    make("figure", {}, make("figcaption", {}, t("Your photo")), target),
    make("figure", {}, make("figcaption", {}, t("Nearest face")), face));
  const result = make("div", { className: "finding" }, both, bar, state, centre, make("div", { className: "bar wrap" }, edit, stopping));
  const hint = make("p", { className: "hint" });

  root.replaceChildren(make("div", { className: "explorer single" }, hint, result));

  function show() {
    const searching = found && found.done < 1 && !stopped;
    result.hidden = !found;
    hint.hidden = Boolean(found);
    if (!found) return;
    target.src = `data:image/png;base64,${found.target}`;
    face.src = `data:image/png;base64,${found.face}`;
    bar.value = stopped ? 1 : found.done;
    centre.hidden = found.face_found;
    stopping.hidden = !searching;
    edit.disabled = searching;
    const values = { percent: Math.round(100 * found.done), error: found.error.toFixed(1) };
    state.textContent = searching
      ? t("Searching: {percent}%, {error} of 255 levels apart", values)
      : t("Nearest face found: {error} of 255 levels apart on average", values);
  }

  function open(answer) {
    if (answer.kind === "found") {
      if (!wanted) return; // a last word of a search that was given up
      found = answer;
    } else {
      if (answer.kind === "nothing" && wanted && !stopped && found?.done !== 1) stop(); // the photo was taken away
      wanted = answer.kind === "looking";
      found = null;
      stopped = false;
      hint.textContent = wanted
        ? t("Looking for the face …")
        : t("Give a photo with a face in it: the nearest face that the generator can draw is searched, in about ten seconds. The photo serves the search alone and is deleted within the hour.");
    }
    show();
  }

  open({ kind: "nothing" });
  return { open };
}
