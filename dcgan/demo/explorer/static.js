/* The static page: the demo's components, with the generator in the visitor's browser. */

const { draw } = painter(new Worker("worker.js", { type: "module" })); // it has most to fetch
const known = await fetchKnown("checkpoint.json").catch((error) => {
  document.querySelector("footer").textContent = error.message;
  throw error;
});
const engine = workerEngine(known, draw);
const panel = (id) => document.getElementById(`panel-${id}`).firstElementChild;

document.documentElement.lang = words === KOREAN ? "ko" : "en";
document.querySelector("h1").textContent = document.title = t("# Faces from noise").slice(2);
facts(document.querySelector("footer"), known.summary);
tabbar(document.getElementById("tabs"), { explore: "Explore", interpolate: "Interpolate", replay: "Training replay", lab: "Lab", about: "About" });
whenSeen(panel("explore"), () => explorer(panel("explore"), known.summary, engine, () => {}));
whenSeen(panel("interpolate"), () => interpolator(panel("interpolate"), known.summary, engine));
whenSeen(panel("replay"), () => replayer(panel("replay"), known.summary, engine));
whenSeen(panel("lab"), () => lab(panel("lab"), known.summary, engine));
whenSeen(panel("about"), () => about(panel("about")));
