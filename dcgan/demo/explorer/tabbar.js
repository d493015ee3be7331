/* The tabs: one row that breaks into two where the screen is narrow. Arrow keys, Home and End move between them. */

function tabbar(root, names) {
  const tabs = Object.entries(names).map(([id, title]) =>
    make("button", { type: "button", id: `tab-${id}`, role: "tab", className: "tab", "aria-controls": `panel-${id}`, onclick: () => open(id) }, t(title)));
  const ids = Object.keys(names);

  function open(id, focus = false) {
    ids.forEach((other, i) => {
      const selected = other === id;
      const panel = document.getElementById(`panel-${other}`);
      tabs[i].setAttribute("aria-selected", selected);
      tabs[i].tabIndex = selected ? 0 : -1;
      if (selected && focus) tabs[i].focus();
      panel.toggleAttribute("data-open", selected);
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", `tab-${other}`);
    });
  }

  const list = make("div", { className: "tabbar", role: "tablist", "aria-label": t("What to do") }, ...tabs);
  list.onkeydown = ({ key }) => {
    const now = tabs.indexOf(document.activeElement);
    const next = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: ids.length - 1 }[key];
    if (next !== undefined) open(ids[(next + ids.length) % ids.length], true);
  };
  root.replaceChildren(list);
  // The panels may be put on the page after this.
  const begin = () => (ids.every((id) => document.getElementById(`panel-${id}`)) ? open(ids[0]) : requestAnimationFrame(begin));
  begin();
  return { open: () => {} };
}
