/* The demo's engine: the server's, until a visitor lets their own browser draw (worker_engine.js). What only the server
   can do, it goes on doing: opinions, the time machine, files. */

/* globalThis.ownEngine(checkpoint) -> {engine, failed(error)} where the visitor's browser draws, else null. */
function eitherEngine(server) {
  const either = (name) => async (asked) => {
    const own = asked.moment == null && globalThis.ownEngine?.(asked.checkpoint);
    if (!own) return server[name](asked);
    return own.engine[name](asked).catch((error) => {
      own.failed(error);
      return server[name](asked);
    });
  };
  return { ...server, latent: either("latent"), face: either("face"), path: either("path"), place: placeChoice };
}

/* Where faces are drawn. Nothing is fetched before the visitor asks for it, and until it is there, the server draws.
   redraw() is called when the place has changed. */
function placeChoice(redraw) {
  let own = null; // {checkpoint, engine, stop, ready, failed}
  const message = make("p", { className: "hint", role: "status" });
  const places = choice(t("Run"), [["server", t("On the server")], ["browser", t("In my browser")]], "server", (place) => {
    message.textContent = "";
    own?.stop?.();
    own = place === "browser" ? {} : null;
    redraw();
  });

  async function begin(checkpoint) {
    const query = new URLSearchParams({ name: checkpoint });
    const { draw, stop } = painter(new Worker(`browser/worker.js?${query}`, { type: "module" }));
    const mine = { checkpoint, stop, failed: (error) => giveUp(mine, error) };
    own?.stop?.();
    own = mine;
    message.textContent = t("Fetching the generator …");
    try {
      const known = await fetchKnown(`browser/checkpoint.json?${query}`);
      mine.engine = workerEngine(known, draw);
      await draw(new Float32Array(known.summary.nz));
    } catch (error) {
      return giveUp(mine, error);
    }
    if (own !== mine) return;
    mine.ready = true;
    message.textContent = t("Your browser draws: the server is asked for the rest alone.");
    redraw();
  }

  function giveUp(mine, error) {
    mine.stop();
    if (own !== mine) return;
    own = null;
    places.querySelector("input").checked = true;
    message.textContent = `${error.message} ${t("The server goes on.")}`;
  }

  globalThis.ownEngine = (checkpoint) => {
    if (own && own.checkpoint !== checkpoint) begin(checkpoint);
    return own?.ready ? own : null;
  };
  return make("div", {}, places, message);
}
