/* Explore: one large face, and sliders for what it is made of. */

const TOP = 10; // sliders that a visitor sees first
const REACH = 3.5; // how far a slider goes: nearly all of a standard normal
const ENLARGED = 512; // side of an enlarged picture, at least

function explorer(root, checkpoint, engine, onCheckpoint) {
  let base = null; // the z of the seed
  let state = { checkpoint: checkpoint.name, seed: randomSeed(), truncation: 1, edits: {}, ...readLink() };
  let remembering = 0;
  const rows = new Map(); // dimension -> its rows

  const canvas = make("canvas", { className: "face", role: "img", "aria-label": "Generated face" });
  const message = messageLine();
  const seed = seedField("Seed", state.seed, (value) => change({ seed: value, edits: {} }, true));
  const truncation = make("output", {});
  const truncationSlider = slider("Truncation", { min: 0, max: 1.5, step: 0.01 }, (value) => change({ truncation: value }));
  const resetAll = button("Reset all", () => change({ edits: {} }, true));
  const saveNative = button("Save PNG", () => savePicture(1));
  const saveLarge = button("Save PNG", () => savePicture(enlargement()));
  const enlargement = () => Math.ceil(ENLARGED / checkpoint.size);
  const top = make("div", { className: "rows" });
  const all = make("div", { className: "rows columns" });
  const allTitle = make("summary", {});
  const rest = make("details", { className: "all", ontoggle: () => fillAll() }, allTitle, all);

  const paint = latest(
    (wanted) => engine.face(wanted),
    (bitmap, shown) => {
      canvas.width = bitmap.width;
      canvas.height = bitmap.height;
      canvas.getContext("2d").drawImage(bitmap, 0, 0);
      bitmap.close();
      canvas.dataset.shown = link(shown);
      canvas.setAttribute("aria-label", `Generated face, seed ${shown.seed}`);
      message.clear();
    },
    (error) => message.say(error.message),
  );

  root.replaceChildren(
    make("div", { className: "explorer" },
      make("section", { className: "portrait", "aria-label": "Face" },
        canvas,
        message.element,
        make("div", { className: "bar" }, seed.element,
          make("div", { className: "field truncation" },
            make("div", { className: "caption" }, "Truncation", truncation), truncationSlider)),
        make("div", { className: "bar wrap" },
          choice("Enlarge", [["smooth", "Smooth"], ["pixels", "Pixels"]], "smooth", (kind) => canvas.classList.toggle("pixels", kind === "pixels")),
          make("div", { className: "bar" }, saveNative, saveLarge))),
      make("section", { className: "sliders", "aria-label": "Latent dimensions" },
        make("div", { className: "bar heading" }, make("h2", {}, "Strongest first"), make("span", { className: "grow" }), resetAll),
        top, rest)),
  );

  /* A part of the state changes. A new person is a step that the Back button undoes; a slider's move is not. */
  function change(part, isStep = false) {
    const newPerson = "seed" in part && part.seed !== state.seed;
    if (isStep) remember("replaceState");
    state = { ...state, ...part };
    if (newPerson) loadBase();
    show();
    paint(state);
    // Browsers allow a page only so many of these a second.
    if (isStep) remember("pushState");
    else remembering ||= setTimeout(() => remember("replaceState"), 400);
  }

  function remember(how) {
    clearTimeout(remembering);
    remembering = 0;
    history[how](history.state, "", `${location.pathname}${location.search}#${link(state)}`);
  }

  function show() {
    seed.set(state.seed);
    truncationSlider.value = state.truncation;
    truncation.value = state.truncation.toFixed(2);
    resetAll.disabled = Object.keys(state.edits).length === 0;
    for (const list of rows.values()) list.forEach((row) => row.show());
  }

  const current = (dimension) => state.edits[dimension] ?? (base ? base[dimension] * state.truncation : 0);

  function row(dimension) {
    const name = `Dimension ${dimension}`;
    const value = make("output", {});
    const input = slider(name, { min: -REACH, max: REACH, step: 0.01 }, (z) => change({ edits: { ...state.edits, [dimension]: z } }));
    const reset = button(icon("reset"), () => {
      const { [dimension]: _, ...others } = state.edits;
      change({ edits: others });
      input.focus();
    }, { className: "reset", "aria-label": `Reset dimension ${dimension}`, title: "Reset" });
    const element = make("div", { className: "row" }, make("span", { className: "name" }, make("span", { className: "word" }, "Dimension "), dimension), input, value, reset);
    const result = {
      element,
      show: () => {
        const z = current(dimension);
        if (Number(input.value) !== z) input.value = z;
        value.value = (Math.round(z * 100) / 100 || 0).toFixed(2); // never -0.00
        const part = 50 + (50 * Math.max(-REACH, Math.min(REACH, z))) / REACH;
        input.style.setProperty("--from", `${Math.min(50, part)}%`);
        input.style.setProperty("--to", `${Math.max(50, part)}%`);
        element.classList.toggle("edited", dimension in state.edits);
        reset.disabled = !(dimension in state.edits);
      },
    };
    rows.set(dimension, [...(rows.get(dimension) ?? []), result]);
    result.show();
    return element;
  }

  /* All dimensions are a hundred sliders: they are made when someone looks. */
  function fillAll() {
    if (rest.open && !all.children.length) all.append(...Array.from({ length: checkpoint.nz }, (_, i) => row(i)));
  }

  async function loadBase() {
    const { checkpoint: name, seed } = state;
    try {
      const z = await engine.latent(name, seed);
      if (name !== state.checkpoint || seed !== state.seed) return;
      base = z;
      show();
    } catch (error) {
      message.say(error.message);
    }
  }

  /* Begin with a checkpoint: its sliders, the most effective ones first. */
  async function open(summary) {
    checkpoint = summary;
    if (state.checkpoint !== summary.name) state = { ...state, checkpoint: summary.name, edits: {} };
    base = null;
    rows.clear();
    top.replaceChildren();
    all.replaceChildren();
    saveNative.textContent = `Save ${summary.size} px`;
    saveLarge.textContent = `Save ${summary.size * enlargement()} px`;
    allTitle.textContent = `All ${summary.nz} dimensions`;
    for (const d of Object.keys(state.edits)) if (d >= summary.nz) delete state.edits[d];
    show();
    paint(state);
    loadBase();
    fillAll();
    try {
      const ranking = await engine.ranking(summary.name);
      if (summary === checkpoint) top.replaceChildren(...ranking.slice(0, TOP).map(row));
    } catch (error) {
      message.say(error.message);
    }
  }

  /* The face as part of an address, and back. */
  function link({ checkpoint: name, seed, truncation, edits }) {
    const z = Object.entries(edits).map(([d, value]) => `${d}:${value}`).join(",");
    return new URLSearchParams({ face: name, seed, truncation, ...(z && { z }) }).toString();
  }

  function readLink() {
    const values = new URLSearchParams(location.hash.slice(1));
    if (!checkpoint.names.includes(values.get("face"))) return null;
    const within = (text, low, high, otherwise) => {
      const number = Number.parseFloat(text);
      return number >= low && number <= high ? number : otherwise;
    };
    const edits = {};
    for (const pair of (values.get("z") ?? "").split(",")) {
      const [d, z] = pair.split(":");
      if (/^\d{1,4}$/.test(d) && Number.isFinite(Number(z)) && z) edits[Number(d)] = within(z, -6, 6, 0);
    }
    return {
      checkpoint: values.get("face"),
      seed: Math.floor(within(values.get("seed"), 0, MAX_SEED, 0)),
      truncation: within(values.get("truncation"), 0, 2, 1),
      edits,
    };
  }

  function followLink() {
    const linked = readLink();
    if (!root.isConnected || !linked || link(linked) === link(state)) return;
    const moved = linked.checkpoint !== state.checkpoint;
    state = linked;
    if (moved) return onCheckpoint(linked.checkpoint);
    loadBase();
    show();
    paint(state);
  }

  function savePicture(factor) {
    const pixels = make("canvas", { width: canvas.width * factor, height: canvas.height * factor });
    const context = pixels.getContext("2d");
    context.imageSmoothingEnabled = !canvas.classList.contains("pixels");
    context.imageSmoothingQuality = "high";
    context.drawImage(canvas, 0, 0, pixels.width, pixels.height);
    pixels.toBlob((blob) => save(blob, `${state.checkpoint}-${state.seed}-${pixels.width}px.png`));
  }

  addEventListener("popstate", followLink);
  if (state.checkpoint === checkpoint.name) open(checkpoint);
  else onCheckpoint(state.checkpoint);
  return { open };
}
