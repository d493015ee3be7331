/* The server, seen from a component. */

import { t } from "./parts.js";

const TRY_AGAIN = 2500; // milliseconds
let looking = 0;

/* Server functions of a component: each takes one mapping, and refuses with an Error whose message is for the visitor. */
export function asking(server = {}) {
  const called = (name) => async (request) => {
    const answer = await server[name](request); // Gradio answers undefined where the network fails
    if (answer === undefined) {
      lookOut();
      throw new Error(t("The server does not answer. Is it still running?"));
    }
    if (answer?.error) throw new Error(t(answer.error));
    return answer;
  };
  return new Proxy({}, { get: (_, name) => server[name] && called(name) });
}

/* Look until the server answers; the window then hears "answering". */
export function lookOut() {
  looking ||= setInterval(async () => {
    const answer = await fetch(document.baseURI, { method: "HEAD" }).catch(() => null);
    if (!answer?.ok) return;
    clearInterval(looking);
    looking = 0;
    dispatchEvent(new Event("answering"));
  }, TRY_AGAIN);
}

/* Call `retry` once, when a server that did not answer does so again. */
export const whenAnswering = (retry) => addEventListener("answering", retry, { once: true });
