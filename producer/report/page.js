// Draws the page's figures and keeps them in the colours of the page: light, dark, or on paper.
(() => {
  "use strict";

  const figures = JSON.parse(document.getElementById("figures").textContent);
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const narrow = window.matchMedia("(max-width: 34rem)");
  const logarithmic = document.getElementById("logarithmic");
  const config = { displayModeBar: false, responsive: true, scrollZoom: false, doubleClick: "reset" };

  const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();

  // The sheet's own colours are #rrggbb; bands lie over one another, so each is faint.
  const translucent = (hex) => `${hex}${dark.matches ? "40" : "30"}`;

  function coloured(trace) {
    const own = trace.meta.truth ? colour("quiet") : colour(`series-${trace.meta.series % 6}`);
    return {
      ...trace,
      ...(trace.meta.band ? { fillcolor: translucent(own) } : {}),
      line: { ...trace.line, color: own },
      marker: { ...trace.marker, color: own, line: { ...(trace.marker || {}).line, color: own } },
    };
  }

  // Powers of ten alone where they are enough; no powers for numbers that are short without.
  function ticks(given, data) {
    if (given.type !== "log") return { exponentformat: "power", minexponent: 6, separatethousands: true };
    const values = data.flatMap((trace) => trace.y).filter((value) => value > 0);
    const decades = values.reduce(
      ([low, high], value) => [Math.min(low, Math.log10(value)), Math.max(high, Math.log10(value))],
      [Infinity, -Infinity],
    );
    const few = decades[1] - decades[0] <= (narrow.matches ? 5 : 8);
    return { exponentformat: "power", ...(few ? { dtick: 1 } : {}) };
  }

  function axis(given, data) {
    return {
      ...given,
      automargin: true,
      gridcolor: colour("line"),
      linecolor: colour("quiet"),
      tickcolor: colour("line"),
      zeroline: false,
      title: { ...given.title, standoff: 10, font: { color: colour("quiet") } },
      ...ticks(given, data),
      nticks: narrow.matches ? 5 : 8,
      minor: { showgrid: false },
    };
  }

  function layout(given, data) {
    return {
      xaxis: axis(given.xaxis, data),
      yaxis: axis(given.yaxis, data),
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: colour("ink"), family: getComputedStyle(document.body).fontFamily, size: 13 },
      margin: { l: 8, r: 12, t: 8, b: 8 },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", itemsizing: "constant" },
      hoverlabel: { bgcolor: colour("sheet"), bordercolor: colour("line"), font: { color: colour("ink") } },
      dragmode: narrow.matches ? false : "zoom",
    };
  }

  function draw() {
    const drawn = Object.entries(figures).map(([name, figure]) => {
      const place = document.getElementById(name);
      for (const note of place.querySelectorAll("noscript")) note.remove();
      return Plotly.react(place, figure.data.map(coloured), layout(figure.layout, figure.data), config);
    });
    return Promise.all(drawn);
  }

  function onPaper(printing) {
    root.classList.toggle("printing", printing);
    for (const fold of document.querySelectorAll("details")) {
      if (printing) {
        fold.dataset.open = fold.open;
        fold.open = true;
      } else {
        fold.open = fold.dataset.open === "true";
      }
    }
    draw();
  }

  if (logarithmic && figures.losses) {
    logarithmic.checked = figures.losses.layout.yaxis.type === "log";
    logarithmic.addEventListener("change", () => {
      figures.losses.layout.yaxis.type = logarithmic.checked ? "log" : "linear";
      draw();
    });
  }
  dark.addEventListener("change", draw);
  narrow.addEventListener("change", draw);
  window.addEventListener("beforeprint", () => onPaper(true));
  window.addEventListener("afterprint", () => onPaper(false));
  draw().then(() => root.classList.add("drawn"));
})();
