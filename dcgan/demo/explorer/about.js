/* About: what a GAN is, in five sentences and a picture, and which generator draws here. Gradio shows its card:
   trigger("card", {checkpoint: name, language}) asks for another one. */

import { ofCheckpoint } from "./engine.js";
import { language, make, spelled, svg, t } from "./parts.js";

const SENTENCES = [
  "A generative adversarial network is two networks that play against each other.",
  "The generator makes a picture of nothing but random numbers; the discriminator looks at photos and at such pictures, and says which is which.",
  "When it can tell, the generator is shown how to come closer; when it is fooled, it learns to look harder itself.",
  "Nobody tells either of them what a face is: after hundreds of thousands of rounds, faces are what still gets past.",
  "So nobody you see here exists, and what you move in Explore are the numbers that a face is made of.",
];

export const mount = ofCheckpoint((root, _, checkpoint, __, trigger) => {
  const text = (x, y, words) => svg("text", { x, y, "text-anchor": "middle" }, t(words));
  const box = (x, y, words, kind) =>
    [svg("rect", { x: x - 70, y: y - 22, width: 140, height: 44, rx: 8, class: kind }), text(x, y + 6, words)];
  const arrow = (d) => svg("path", { d, class: "arrow", "marker-end": "url(#arrow-head)" });
  const size = { viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7 };
  const head = svg("marker", { id: "arrow-head", orient: "auto", ...size }, svg("path", { d: "M0 0 8 4 0 8Z" }));
  const label = t("Random numbers go into the generator, its fakes and photos into the discriminator, and its verdict back to both.");
  const figure = svg("svg", { viewBox: "0 0 600 210", role: "img", class: "gan", "aria-label": label },
    svg("defs", {}, head),
    ...box(72, 62, "random numbers", "plain"), ...box(240, 62, "generator", "net"),
    ...box(240, 160, "photos", "plain"), ...box(420, 111, "discriminator", "net"),
    text(562, 106, "real or"), text(562, 128, "fake?"),
    arrow("M142 62H168"), arrow("M310 62C335 62 325 98 348 103"), arrow("M310 160C335 160 325 124 348 119"),
    arrow("M490 111H524"), arrow("M562 84C562 2 240 0 240 38"), arrow("M562 138C562 205 420 205 420 135"));
  const facts = make("p");
  root.replaceChildren(make("div", { className: "explorer single about" },
    make("h2", {}, t("What a GAN is")), make("p", {}, ...SENTENCES.map((sentence) => `${t(sentence)} `)), figure,
    make("h2", {}, t("What draws here")), facts));
  const show = (summary) => {
    facts.textContent = spelled(summary.sentences);
    if (language !== "en" || summary !== checkpoint) trigger("card", { checkpoint: summary.name, language });
    checkpoint = summary;
  };
  show(checkpoint);
  return show;
});
