/* The lines under the page that describe the checkpoint and say why the server has to draw, and the address: which tab
   and which checkpoint it leads to.

   value: {checkpoint: name}. Gradio chooses tabs and checkpoints: trigger("tab", {id}) and trigger("checkpoint", {name})
   ask it to, and the window hears "tab-shown", with the id as detail, when it has shown a tab. */

import { linkedFace, linkedTab, writeTab } from "./address.js";
import { ofCheckpoint } from "./engine.js";
import { make, spelled } from "./parts.js";

export const mount = ofCheckpoint((root, engine, checkpoint, _, trigger) => {
  const line = make("p", { className: "facts" });
  const status = make("p", { className: "facts status", role: "status" });
  root.replaceChildren(status, line);
  engine.onStatus((text) => (status.textContent = text));
  let tab = "explore";

  function follow() {
    if (linkedTab() !== tab) trigger("tab", { id: linkedTab() });
    const name = linkedFace(checkpoint.names)?.checkpoint ?? checkpoint.name;
    if (name !== checkpoint.name) trigger("checkpoint", { name });
  }

  function show(summary) {
    checkpoint = summary;
    line.textContent = spelled(summary.sentences);
  }

  addEventListener("popstate", follow);
  addEventListener("tab-shown", ({ detail }) => writeTab((tab = detail)));
  show(checkpoint);
  follow();
  return show;
});
