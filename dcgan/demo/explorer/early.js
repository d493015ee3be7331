/* Runs before Gradio's scripts. Its sign of loading counts the time in every frame for ever, also when it is no longer
   on the page, which would then be drawn 60 times a second at rest: out of sight, it counts twice a second. */

const requestFrame = window.requestAnimationFrame;
window.requestAnimationFrame = (draw) => {
  const counts = /^\(\) *=> *\{[^}]*performance\.now\(\) *-/.test(draw);
  const seen = () => document.querySelector("[data-testid=status-tracker]:not(.hide)");
  return counts && !seen() ? setTimeout(draw, 500) : requestFrame(draw);
};
