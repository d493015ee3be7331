/* A visitor's own photos on a page without a server: they do not leave the browser. */

import { button, div, hint, make, t } from "./parts.js";

const COLUMNS = 8;
const MAX_PHOTOS = 512;

/* The middles of photos as a sheet, {sheet, count}. */
async function photoSheet(files, size) {
  const sheet = new OffscreenCanvas(COLUMNS * size, Math.ceil(files.length / COLUMNS) * size);
  const context = sheet.getContext("2d");
  let count = 0;
  for (const file of files) { // one after the other: each may be large
    const photo = await createImageBitmap(file).catch(() => null);
    if (!photo) continue;
    const side = Math.min(photo.width, photo.height);
    const [x, y] = [(photo.width - side) / 2, (photo.height - side) / 2];
    const small = { resizeWidth: size, resizeHeight: size, resizeQuality: "high" };
    const square = await createImageBitmap(photo, x, y, side, side, small);
    context.drawImage(square, (count % COLUMNS) * size, Math.floor(count / COLUMNS) * size);
    [photo, square].forEach((one) => one.close());
    count++;
  }
  if (!count) throw new Error(t("there is no picture that can be read: give JPEG, PNG or WebP"));
  return { sheet, count };
}

/* What takes them, as faces of size x size pixels. open({reading}) and open({own}) are told of them, as real_vs_fake.js
   is by the server of another page. */
export function ownPhotos(size, open, message) {
  const input = make("input", { type: "file", multiple: true, accept: "image/*" });
  const forget = button(t("Forget my photos"), () => take(null), { hidden: true });
  function take(own) {
    forget.hidden = !own;
    open({ own });
  }
  input.onchange = () => message.attempt(async () => {
    open({ reading: true });
    try {
      take(await photoSheet([...input.files].slice(0, MAX_PHOTOS), size));
    } finally {
      input.value = "";
      open({ reading: false });
    }
  });
  const choose = make("label", { className: "button load" }, t("Use my own photos as the real ones"), input);
  return div("bar wrap", choose, forget, hint(t("They stay in your browser.")));
}
