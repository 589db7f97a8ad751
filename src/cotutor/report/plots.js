"use strict";
// Plots are JSON beside their place; "var(--name)" in it is a colour of the present theme, two hex digits after it its opacity.
const figures = JSON.parse(document.getElementById("figures").textContent);
const narrow = window.matchMedia("(max-width: 640px)");
const dark = window.matchMedia("(prefers-color-scheme: dark)");

function themed(value, style) {
  if (typeof value === "string") {
    return value.replace(
      /^var\((--[a-z0-9]+)\)([0-9a-f]{2})?$/, (_, name, opacity = "") => style.getPropertyValue(name).trim() + opacity,
    );
  }
  if (Array.isArray(value)) return value.map((item) => themed(item, style));
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, themed(item, style)]));
}

function layout(figure) {
  const axis = {
    gridcolor: "var(--line)", zeroline: false, linecolor: "var(--line)", automargin: true, fixedrange: true,
    tickfont: { color: "var(--muted)" }, title: { font: { color: "var(--muted)", size: 12 }, standoff: 10 },
  };
  const y = { ...axis, nticks: 6, ...figure.layout.yaxis, title: { ...axis.title, ...figure.layout.yaxis.title } };
  const x = {
    ...axis, showgrid: false, rangemode: "tozero", nticks: narrow.matches ? 5 : 8, hoverformat: ",",
    ...figure.layout.xaxis, title: { ...axis.title, text: "frames", ...figure.layout.xaxis?.title },
  };
  return {
    font: { family: "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif", size: 12, color: "var(--ink)" },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", hovermode: figure.layout.hovermode ?? "x unified",
    hoverlabel: { bgcolor: "var(--card)", bordercolor: "var(--line)", font: { color: "var(--ink)" } },
    margin: { l: 8, r: 12, t: 8, b: 8 },
    showlegend: figure.layout.showlegend ?? figure.traces.length > 1,
    legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12 } },
    xaxis: x,
    yaxis: y,
  };
}

function draw(wanted = figures) {
  const style = getComputedStyle(document.documentElement);
  for (const figure of wanted) {
    Plotly.react(
      `plot-${figure.name}`, themed(figure.traces, style), themed(layout(figure), style),
      { responsive: true, displayModeBar: false },
    );
  }
}

draw();
dark.addEventListener("change", () => draw());
narrow.addEventListener("change", () => draw());
