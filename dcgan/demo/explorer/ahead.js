/* Explore, at work while Gradio still builds the page around it. Then it moves in, with what the visitor has done. */
function exploreAhead(summary, engine) {
  const theme = new URLSearchParams(location.search).get("__theme") ?? "system";
  document.body.classList.toggle("dark", theme === "dark" || (theme !== "light" && matchMedia("(prefers-color-scheme: dark)").matches));
  const root = make("div", { className: "ahead" });
  let linked = null; // the checkpoint of a link, which Gradio has not heard of
  let choose = async (name) => {
    linked = name;
    const found = await engine.summary(name);
    open(found);
  };
  const { open } = explorer(root, summary, engine, (name) => choose(name));
  document.body.append(root);

  /* element: its place; onCheckpoint(name) makes Gradio choose a checkpoint, which then comes to `open`. */
  function settle(element, onCheckpoint) {
    document.head.append(...document.querySelectorAll("style.own")); // after Gradio's, which have come meanwhile
    choose = onCheckpoint;
    if (linked) choose(linked);
    const moveIn = () => {
      if (root.matches(":active")) return setTimeout(moveIn, 50); // in the middle of a drag
      const focused = root.contains(document.activeElement) && document.activeElement;
      root.className = "";
      element.append(root);
      if (focused) focused.focus({ preventScroll: true });
    };
    moveIn();
    return {
      open: (chosen) => {
        const known = chosen.name === linked;
        linked = null;
        if (!known) open(chosen);
      },
    };
  }
  return { settle };
}
