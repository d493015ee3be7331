/* The page's language and title, a line that says why the server has to draw, and the address: which tab and which
   checkpoint it leads to.

   value: {checkpoint: name}. Gradio chooses tabs and checkpoints: trigger("tab", {id}) and trigger("checkpoint", {name})
   ask it to, and the window hears "tab-shown", with the id as detail, when it has shown a tab. */

import { linkedFace, linkedTab, writeTab } from "./address.js";
import { ofCheckpoint } from "./engine.js";
import { language, make, t } from "./parts.js";

export const mount = ofCheckpoint((root, engine, checkpoint, _, trigger) => {
  root.replaceChildren(engine.status);
  if (new URL(import.meta.url).origin !== location.origin) { // a page that embeds this one looks for them on its own server
    const style = (name) => make("link", { rel: "stylesheet", href: new URL(name, import.meta.url).href });
    document.head.append(style("page.css"), style("explorer.css"));
  } else {
    document.documentElement.lang = language;
    document.title = t("# Faces from noise").slice(2);
  }
  let tab = "explore";

  function follow() {
    if (linkedTab() !== tab) trigger("tab", { id: linkedTab() });
    const name = linkedFace(checkpoint.names)?.checkpoint ?? checkpoint.name;
    if (name !== checkpoint.name) trigger("checkpoint", { name });
  }

  addEventListener("popstate", follow);
  addEventListener("tab-shown", ({ detail }) => writeTab((tab = detail)));
  follow();
  return (summary) => (checkpoint = summary);
});
