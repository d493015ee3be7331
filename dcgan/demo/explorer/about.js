/* About: what a GAN is, in a picture and five figures that live, and which generator draws here. Gradio shows its card:
   trigger("card", {checkpoint: name, language}) asks for another one. */

import { latest, ofCheckpoint } from "./engine.js";
import { latentSum, seedLatent } from "./latents.js";
import { opinionMeter } from "./opinion.js";
import {
  bitmap, button, cut, div, figure, largeFace, language, make, paint, pickable, randomSeed, slider, someSeeds, spelled, svg,
  t, thumb,
} from "./parts.js";

const IN_A_ROW = 10; // numbers of a face
const BRIGHT = 50; // grey levels of a standard deviation
const STEPS = 33; // faces of a walk
const SPOILT = 160; // grey levels, at most
const GRID = 8; // a snapshot is GRID x GRID faces

export const mount = ofCheckpoint((root, engine, checkpoint, _, trigger) => {
  const facts = make("p");
  const figures = [numbers, duel, walk, sum, course].map((one) => one(engine));
  root.replaceChildren(div("explorer single about",
    make("h2", {}, t("What a GAN is")),
    make("p", {}, t("A generative adversarial network is two networks that play against each other."), " ",
      t("The generator makes a picture of nothing but random numbers; the discriminator looks at photos and at such pictures, and says which is which."), " ",
      t("When it can tell, the generator is shown how to come closer; when it is fooled, it learns to look harder itself.")),
    diagram(),
    div("lives", ...figures.map(({ element }) => element)),
    make("h2", {}, t("What draws here")), facts));
  const show = (summary) => {
    for (const one of figures) one.open(summary);
    facts.textContent = spelled(summary.sentences);
    if (language !== "en" || summary !== checkpoint) trigger("card", { checkpoint: summary.name, language });
    checkpoint = summary;
  };
  show(checkpoint);
  return show;
});

function diagram() {
  const text = (x, y, words) => svg("text", { x, y, "text-anchor": "middle" }, t(words));
  const box = (x, y, words, kind) =>
    [svg("rect", { x: x - 70, y: y - 22, width: 140, height: 44, rx: 8, class: kind }), text(x, y + 6, words)];
  const arrow = (d) => svg("path", { d, class: "arrow", "marker-end": "url(#arrow-head)" });
  const size = { viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7 };
  const head = svg("marker", { id: "arrow-head", orient: "auto", ...size }, svg("path", { d: "M0 0 8 4 0 8Z" }));
  const label = t("Random numbers go into the generator, its fakes and photos into the discriminator, and its verdict back to both.");
  return svg("svg", { viewBox: "0 0 600 210", role: "img", class: "gan", "aria-label": label },
    svg("defs", {}, head),
    ...box(72, 62, "random numbers", "plain"), ...box(240, 62, "generator", "net"),
    ...box(240, 160, "photos", "plain"), ...box(420, 111, "discriminator", "net"),
    text(562, 106, "real or"), text(562, 128, "fake?"),
    arrow("M142 62H168"), arrow("M310 62C335 62 325 98 348 103"), arrow("M310 160C335 160 325 124 348 119"),
    arrow("M490 111H524"), arrow("M562 84C562 2 240 0 240 38"), arrow("M562 138C562 205 420 205 420 135"));
}

/* A figure that lives: its title, a sentence, and what moves. open(summary) shows another checkpoint's faces in it. */
const live = (title, sentence, parts, open) => ({
  element: make("section", { "aria-label": title }, make("h2", {}, title), make("p", {}, sentence), div("stage", ...parts)),
  open,
});

/* A large face, and a function that shows the face of a state in it. */
function faceOf(engine, label, painted = () => {}) {
  const large = largeFace(label);
  const draw = latest(engine.face, ({ picture }, face) => {
    paint(large.canvas, picture);
    picture.close();
    large.show();
    painted(face);
  }, () => {});
  return { large, draw };
}

function numbers(engine) {
  const board = figure("pixels", t("The numbers that the face is made of"));
  const { large, draw } = faceOf(engine, t("The face of these numbers"));
  const grid = div("");
  let [checkpoint, z] = [null, []];

  function show(values) {
    z = values;
    const context = board.getContext("2d");
    z.forEach((value, i) => {
      context.fillStyle = `hsl(0 0% ${50 + (BRIGHT / 2.55) * value}%)`;
      context.fillRect(i % IN_A_ROW, Math.floor(i / IN_A_ROW), 1, 1);
    });
    draw({ checkpoint: checkpoint.name, origin: z });
  }

  const others = () => seedLatent(randomSeed(), checkpoint.nz);
  const another = (i) => i < z.length && show(z.map((value, j) => (i === j ? others()[i] : value)));
  return live(t("A face is numbers"), t("Nothing else goes into the generator. Click one of them for another."),
    [grid, large.element, button(t("Other numbers"), () => show(others()))], (summary) => {
      checkpoint = summary;
      const rows = Math.ceil(summary.nz / IN_A_ROW);
      [board.width, board.height] = [IN_A_ROW, rows];
      grid.replaceChildren(pickable(board, IN_A_ROW, rows, (i) => t("Another number {n}", { n: i + 1 }), another).element);
      show(seedLatent(summary.seeds[0] ?? 0, summary.nz));
    });
}

function duel(engine) {
  let clean = null; // ImageData
  const { large, draw } = faceOf(engine, t("A face to spoil"), () => {
    clean = context.getImageData(0, 0, large.canvas.width, large.canvas.height);
    spoil(Number(amount.value));
  });
  const context = large.canvas.getContext("2d");
  const opinion = opinionMeter(engine, large.canvas);
  let face = null;

  function spoil(share) {
    const grain = clean.data.map((value, i) => value + (i % 4 < 3 ? share * SPOILT * (2 * Math.random() - 1) : 0));
    context.putImageData(new ImageData(grain, clean.width), 0, 0);
    large.show();
    opinion.show(face);
  }

  const amount = slider(t("Spoil it"), { min: 0, max: 1, step: 0.01, value: 0 }, (share) => {
    opinion.element.open = true;
    if (clean) spoil(share);
  });
  const other = (seed) => {
    face = { ...face, seed };
    draw(face);
  };
  const figure = live(t("The duel"), t("The discriminator judges what the generator made. Spoil the face, and see whether it notices."),
    [large.element, div("beside", make("label", {}, t("Spoil it"), amount), opinion.element,
      button(t("Another face"), () => other(randomSeed())))], (summary) => {
      figure.element.hidden = !summary.discriminator;
      amount.value = 0;
      face = { checkpoint: summary.name };
      other(summary.seeds[1] ?? 1);
    });
  return figure;
}

function walk(engine) {
  const large = largeFace(t("A face on the way"));
  let [checkpoint, sheet] = [null, null];
  const position = slider(t("From one face to another"), { min: 0, max: STEPS - 1, value: (STEPS - 1) / 2 }, show);
  const load = latest(engine.path, (path) => {
    sheet?.sheet.close();
    sheet = path;
    show(Number(position.value));
  }, () => {});

  function show(step) {
    if (!sheet) return;
    cut(sheet.sheet, sheet.columns, step, large.canvas);
    large.show();
  }

  const others = (faces) => load({ checkpoint: checkpoint.name, faces, kind: "spherical", frames: STEPS, loop: false });
  return live(t("The walk"), t("Between the numbers of two faces lie those of other faces, and nothing but faces."),
    [large.element, div("beside", position, button(t("Other faces"), () => others(someSeeds(2))))], (summary) => {
      checkpoint = summary;
      others(summary.seeds.length > 3 ? summary.seeds.slice(2, 4) : [2, 3]);
    });
}

function sum(engine) {
  const { large, draw } = faceOf(engine, t("The sum of the faces"));
  const terms = div("terms");

  const add = latest(async ({ name, seeds }) => ({
    origin: latentSum(...(await engine.latents(name, seeds)).map((z) => [z])),
    sheet: await engine.sheet(name, seeds, seeds.length),
  }), ({ origin, sheet }, { name, seeds }) => {
    const pictures = seeds.map((_, i) => thumb(cut(sheet, seeds.length, i), t("Another face {n}", { n: i + 1 }),
      () => add({ name, seeds: seeds.map((seed, j) => (i === j ? randomSeed() : seed)) })));
    terms.replaceChildren(pictures[0], "−", pictures[1], "+", pictures[2], "=");
    sheet.close();
    draw({ checkpoint: name, origin, truncation: 1 / Math.sqrt(seeds.length) }); // as wide as one face's numbers
  }, () => {});

  return live(t("The sum"), t("Faces can be added and taken away, as numbers can. Click one for another."), [terms, large.element], (summary) => {
    add({ name: summary.name, seeds: summary.seeds.length > 6 ? summary.seeds.slice(4, 7) : [4, 5, 6] });
  });
}

function course(engine) {
  const large = largeFace(t("A face as the generator learned"));
  const seen = make("output");
  let frames = [];
  let pictures = [];
  const load = latest(async ({ index }) => ({ picture: await bitmap(pictures[index]), images: frames[index] }), ({ picture, images }) => {
    cut(picture, GRID, 0, large.canvas);
    picture.close();
    large.show();
    seen.value = t("{n} images seen", { n: images.toLocaleString("en") });
  }, () => {});
  const moment = slider(t("Moment of the training"), { min: 0, step: 1 }, (index) => load({ index }));
  const figure = live(t("The training"), t("Nobody tells the networks what a face is: faces are what gets past in the end."),
    [large.element, div("beside", moment, seen)], async (summary) => {
      ({ frames, pictures } = await engine.replay(summary.name));
      figure.element.hidden = !frames.length;
      moment.max = frames.length - 1;
      moment.value = 0;
      if (frames.length) load({ index: 0 });
    });
  return figure;
}
