/* The static page: the demo's components without a server. */

import { linkedTab, writeTab } from "./address.js";
import { engineOf } from "./engine.js";
import { button, language, make, t } from "./parts.js";

const TABS = {
  explore: "Explore", interpolate: "Interpolate", "real-vs-fake": "Real vs fake",
  replay: "Training replay", lab: "Lab", about: "About",
};
const { faces, space } = document.querySelector("main").dataset;
const value = { checkpoint: "", faces: JSON.parse(faces), space };
const ids = Object.keys(TABS);
const panels = ids.map((id) => make("div", { id: `panel-${id}`, role: "tabpanel", "aria-labelledby": `tab-${id}` }, make("div")));
const tabs = ids.map((id, i) =>
  button(t(TABS[id]), () => show(i), { id: `tab-${id}`, role: "tab", "aria-controls": `panel-${id}` }));

function show(index, focus = false) {
  for (const [i, panel] of panels.entries()) {
    tabs[i].setAttribute("aria-selected", i === index);
    tabs[i].tabIndex = i === index ? 0 : -1;
    panel.hidden = i !== index;
  }
  if (focus) tabs[index].focus();
  writeTab(ids[index]);
  mount(ids[index], panels[index].firstElementChild);
}

/* A tab that nobody opens costs nothing. */
async function mount(name, element) {
  if (element.dataset.mounted) return;
  element.dataset.mounted = "yes";
  try {
    const component = await import(`./${name.replaceAll("-", "_")}.js`).catch(() => {
      throw new Error(t("The server does not answer. Is it still running?"));
    });
    await component.mount(element, { value, server: {}, trigger: () => {} });
  } catch (error) {
    element.textContent = error.message;
    delete element.dataset.mounted; // the next visit may find what is missing
  }
}

const follow = () => show(Math.max(0, ids.indexOf(linkedTab())));

document.documentElement.lang = language;
document.querySelector("h1").textContent = document.title = t("# Faces from noise").slice(2);
const list = make("div", { role: "tablist", "aria-label": t("What to do") }, ...tabs);
list.onkeydown = ({ key }) => {
  const now = tabs.indexOf(document.activeElement);
  const next = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: ids.length - 1 }[key];
  if (next !== undefined) show((next + ids.length) % ids.length, true);
};
document.querySelector("h1").after(list, ...panels);
const card = document.querySelector(`article[lang="${language}"]`);
card.hidden = false;
panels.at(-1).append(card);
for (const other of document.querySelectorAll("main > article")) other.remove();
addEventListener("popstate", follow);
follow();
document.querySelector("main").append(engineOf().status);
