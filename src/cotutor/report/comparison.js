"use strict";
// The methods above the curves of a task: a click hides or shows one in all of them.
for (const legend of document.querySelectorAll(".methods")) {
  const methods = [...legend.querySelectorAll("[data-method]")];
  const presets = [...legend.querySelectorAll("[data-show]")];
  const mine = figures.filter((figure) => figure.name.endsWith(`-${legend.dataset.task}`));

  const show = (wanted) => {
    const hidden = new Set(methods.filter((button) => !wanted(button)).map((button) => button.dataset.method));
    for (const button of methods) button.setAttribute("aria-pressed", String(!hidden.has(button.dataset.method)));
    for (const figure of mine) {
      for (const trace of figure.traces) if (trace.legendgroup !== undefined) trace.visible = !hidden.has(trace.legendgroup);
    }
    draw(mine);
  };
  const pressed = (button) => button.getAttribute("aria-pressed") === "true";
  for (const button of methods) {
    button.addEventListener("click", () => show((other) => (other === button ? !pressed(other) : pressed(other))));
  }
  for (const button of presets) {
    const kind = button.dataset.show;
    button.addEventListener("click", () => show((other) => kind === "all" || ["subject", kind].includes(other.dataset.kind)));
  }
}
