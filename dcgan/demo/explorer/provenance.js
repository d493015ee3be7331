/* The marks of dcgan/provenance.py in pictures and animations that the browser saves, and what they say of a face. */

const KEYWORD = "XML:com.adobe.xmp\0\0\0\0\0"; // neither compressed nor translated
const HEAD = 33; // bytes of a PNG up to the end of its first chunk

const number = (value) => new Uint8Array([value >>> 24, value >>> 16, value >>> 8, value]);
const text = (value) => new TextEncoder().encode(value);

/* A packet of XMP. marks: as checkpoint.json has it; link: what makes the face again. */
export const packetOf = (marks, link) => marks.replace("{link}", link.replaceAll("&", "&amp;"));

/* A PNG with a packet. */
export async function marked(png, packet) {
  const chunk = text(`iTXt${KEYWORD}${packet}`);
  return new Blob([png.slice(0, HEAD), number(chunk.length - 4), chunk, number(checksum(chunk)), png.slice(HEAD)],
    { type: png.type });
}

/* A GIF with a block of XMP behind its table of colours, as dcgan/pictures.py writes it. */
export function markedGif(bytes, packet) {
  const head = 13 + 3 * 2 ** (1 + (bytes[10] & 7));
  const magic = Uint8Array.from([1, ...Array.from({ length: 256 }, (_, i) => 255 - i), 0]);
  return new Blob([bytes.slice(0, head), Uint8Array.from([0x21, 0xff, 11]), text("XMP DataXMP"), text(packet), magic, bytes.slice(head)], { type: "image/gif" });
}

/* An MP4 with a last box of XMP, or a WebM with a last tag. */
export function markedFilm(blob, packet) {
  const [xmp, id] = [text(packet), Uint8Array.from([0xbe, 0x7a, 0xcf, 0xcb, 0x97, 0xa9, 0x42, 0xe8, 0x9c, 0x71, 0x99, 0x94, 0x91, 0xe3, 0xaf, 0xac])];
  if (blob.type === "video/mp4") return new Blob([blob, number(24 + xmp.length), text("uuid"), id, xmp], { type: blob.type });
  const element = (name, ...parts) => { // of EBML; its length takes four bytes
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    return Uint8Array.from([...name, ...number(0x10000000 | length), ...parts.flatMap((part) => [...part])]);
  };
  const tag = element([0x67, 0xc8], element([0x45, 0xa3], text("XMP")), element([0x44, 0x87], xmp));
  const tags = element([0x12, 0x54, 0xc3, 0x67], element([0x73, 0x73], element([0x63, 0xc0]), tag));
  return new Blob([blob, tags], { type: blob.type });
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
