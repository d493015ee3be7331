/* Sliders of one's own, {name, checkpoint, vector: [nz], of length 1}: made in the Lab, kept as long as the browser's tab.
   The window hears "sliders" when they change. */

const storage = (() => {
  try {
    return sessionStorage;
  } catch {
    return {}; // where a browser keeps nothing, they are gone with the page
  }
})();

const all = () => JSON.parse(storage.sliders ?? "[]");
const without = ({ name, checkpoint }) => all().filter((one) => one.name !== name || one.checkpoint !== checkpoint);

function keep(sliders) {
  storage.sliders = JSON.stringify(sliders);
  dispatchEvent(new Event("sliders"));
}

export const ownSliders = (checkpoint) => all().filter((one) => one.checkpoint === checkpoint);
export const addSlider = (slider) => keep([...without(slider), slider]); // in the place of one with its name
export const removeSlider = (slider) => keep(without(slider));
