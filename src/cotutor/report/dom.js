"use strict";
// What the parts of the page share. Children given as strings become text, never markup.
function node(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function percent(share) {
  if (share > 0 && share < 0.005) return "<1%";
  if (share < 1 && share >= 0.995) return ">99%";
  return `${Math.round(100 * share)}%`;
}

function bar(share, kind) {
  const filled = node("span", { class: `bar ${kind}` });
  filled.style.width = `${100 * share}%`;
  return node("span", { class: "track", "aria-hidden": "true" }, filled);
}
