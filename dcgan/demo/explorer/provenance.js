/* The marks of dcgan/provenance.py in pictures that the browser saves, and what they say of a picture's face. */

const KEYWORD = "XML:com.adobe.xmp\0\0\0\0\0"; // neither compressed nor translated
const HEAD = 33; // bytes of a PNG up to the end of its first chunk

/* A PNG with a packet of XMP. marks: the packet as checkpoint.json has it; link: what makes the face again. */
export async function marked(png, marks, link) {
  const packet = marks.replace("{link}", link.replaceAll("&", "&amp;"));
  const chunk = new TextEncoder().encode(`iTXt${KEYWORD}${packet}`);
  const number = (value) => new Uint8Array([value >>> 24, value >>> 16, value >>> 8, value]);
  return new Blob([png.slice(0, HEAD), number(chunk.length - 4), chunk, number(checksum(chunk)), png.slice(HEAD)],
    { type: png.type });
}

/* CRC-32, as PNG has it. */
function checksum(bytes) {
  let rest = ~0;
  for (const byte of bytes) {
    rest ^= byte;
    for (let bit = 0; bit < 8; bit++) rest = (rest >>> 1) ^ (rest & 1 ? 0xedb88320 : 0);
  }
  return ~rest;
}

/* The link in a picture or an animation of any kind; null where there is none. */
export async function linkIn(file) {
  const text = new TextDecoder("latin1").decode(await file.arrayBuffer());
  return /dc:identifier(?:>|=")([^<"]*seed=[^<"]*)/.exec(text)?.[1].replaceAll("&amp;", "&") ?? null;
}
