/* The first face, where Explore will show it, while Gradio still builds the page around it. */
function showPoster(engine) {
  const checkpoint = new URLSearchParams(location.hash.slice(1)).get("face") ?? "";
  const state = { checkpoint, seed: randomSeed(), ...readLink([checkpoint]) };
  const canvas = make("canvas", { className: "poster", role: "img", "aria-label": t("Generated face") });
  engine.face(state).then((bitmap) => {
    if (gone) return;
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    document.body.append(canvas);
  }, () => {}); // what went wrong, Explore will say
  let gone = false;
  const remove = () => {
    gone = true;
    canvas.remove();
  };
  return { seed: state.seed, remove };
}

globalThis.poster = showPoster(serverEngine());
