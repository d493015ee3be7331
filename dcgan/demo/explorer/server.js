/* The server, seen from a component. The window hears "answering" when what failed may be tried again. */

import { t } from "./parts.js";

const LOOK = 2500; // milliseconds from one look to the next, while the server does not answer
const AGAIN = 5000; // milliseconds until what did not arrive is tried again
const announce = () => dispatchEvent(new Event("answering"));
let [looking, later] = [0, 0];

export function tryAgainLater() {
  later ||= setTimeout(() => {
    later = 0;
    announce();
  }, AGAIN);
}

/* Server functions of a component: each takes one mapping. They fail with an Error whose message is for the visitor;
   it is `refused` where the server will not have the request, however often it is made. */
export function asking(server = {}) {
  const called = (name) => async (request) => {
    const answer = await server[name](request); // Gradio answers undefined where the network fails
    if (answer === undefined) {
      lookOut();
      throw new Error(t("The server does not answer. Is it still running?"));
    }
    if (answer?.error) throw Object.assign(new Error(t(answer.error)), { refused: true });
    return answer;
  };
  return new Proxy({}, { get: (_, name) => server[name] && called(name) });
}

/* Look until the server answers. */
export function lookOut() {
  looking ||= setInterval(async () => {
    const answer = await fetch(document.baseURI, { method: "HEAD" }).catch(() => null);
    if (!answer?.ok) return;
    clearInterval(looking);
    looking = 0;
    announce();
  }, LOOK);
}

/* Call `retry` once, when what failed may be tried again. */
export const whenAnswering = (retry) => addEventListener("answering", retry, { once: true });
