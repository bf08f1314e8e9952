// Draws the page's figures with ECharts and keeps them in the colours of the page: light, dark, on paper.
// Figures are the plain data of figures.py. Text of users only ever becomes text, never markup.
(() => {
  "use strict";

  const figures = JSON.parse(document.getElementById("figures").textContent);
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const narrow = window.matchMedia("(max-width: 34rem)");
  const logarithmic = document.getElementById("logarithmic");
  const PAPER = { width: 660, height: 300, silent: true };
  const SYMBOLS = {
    circle: "circle",
    ring: "circle",
    cross: "path://M0,0L10,10M10,0L0,10",
    diamond: "diamond",
    square: "rect",
  };
  const charts = {};
  const hidden = {};

  const colour = (name) => getComputedStyle(root).getPropertyValue(`--${name}`).trim();
  const colourOf = (series) => colour(series.side === null ? "quiet" : `series-${series.side % 6}`);

  const SUPERSCRIPTS = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
  const raised = (exponent) => [...String(exponent)].map((sign) => SUPERSCRIPTS[sign]).join("");

  // 10⁻³ on logarithmic axes; no powers for numbers that are short without.
  function tick(value, log) {
    const exponent = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)) + 1e-9);
    if (log && exponent >= 0 && exponent <= 3) return String(Number(value.toPrecision(3)));
    if (!log && (value === 0 || (exponent > -4 && exponent < 6))) return Number(value.toPrecision(6)).toLocaleString("en");
    const factor = Number((value / 10 ** exponent).toPrecision(3));
    return `${factor === 1 ? "" : `${factor}·`}10${raised(exponent)}`;
  }

  const read = (value) => (value === null ? "–" : String(Number(value.toPrecision(6))));
  const drawable = (value, log) => (value === null || (log && value <= 0) ? null : value);

  // A band is one polygon: along the upper values, and back along the lower ones.
  function band(series, given, log) {
    const points = series.x.map((x, place) => [x, drawable(series.y[place], log), drawable(series.high[place], log)]);
    const whole = points.filter(([, low, high]) => low !== null && high !== null);
    return {
      type: "custom",
      data: whole,
      encode: { x: 0, y: [1, 2] },
      silent: true,
      clip: true,
      renderItem: (place, api) => {
        if (place.dataIndexInside > 0) return undefined;
        const upper = whole.map(([x, , high]) => api.coord([x, high]));
        const lower = whole.map(([x, low]) => api.coord([x, low])).reverse();
        return {
          type: "polygon",
          shape: { points: [...upper, ...lower] },
          style: { fill: given, opacity: dark.matches && !root.classList.contains("printing") ? 0.25 : 0.19 },
        };
      },
    };
  }

  function line(series, given, log) {
    return {
      type: "line",
      data: series.x.map((x, place) => [x, drawable(series.y[place], log)]),
      showSymbol: series.symbol !== null,
      symbol: SYMBOLS[series.symbol] || "circle",
      symbolSize: series.size,
      lineStyle: {
        color: given, width: series.width, opacity: series.opacity,
        type: series.dash.length ? series.dash : "solid", cap: "butt", join: "round",
      },
      itemStyle: { color: given, opacity: series.opacity },
      emphasis: { disabled: true },
    };
  }

  function points(series, given, log) {
    const open = series.symbol !== "circle";
    return {
      type: "scatter",
      // What was known lies on top of the curves that run through it.
      ...(series.side === null ? { z: 100 } : {}),
      data: series.x.map((x, place) => [x, drawable(series.y[place], log)]),
      symbol: SYMBOLS[series.symbol],
      symbolSize: series.size,
      itemStyle: {
        color: open ? "transparent" : given, opacity: series.opacity, borderColor: given, borderWidth: open ? 2 : 0,
      },
      emphasis: { disabled: true },
    };
  }

  const KINDS = { line, points, band };

  // The powers of ten around what is drawn, where a logarithmic axis has its ticks.
  function decades(figure) {
    const seen = figure.series.flatMap((series) => [...series.y, ...series.high]).filter((value) => value > 0);
    if (!seen.length) return null;
    const [low, high] = seen.reduce(
      ([least, most], value) => [Math.min(least, value), Math.max(most, value)], [Infinity, -Infinity],
    );
    const [bottom, top] = [Math.floor(Math.log10(low)), Math.ceil(Math.log10(high) + 1e-9)];
    const step = Math.ceil((top - bottom) / (narrow.matches ? 4 : 6));
    const first = Math.floor(bottom / step) * step;
    return { ends: [10 ** first, 10 ** (first + Math.ceil((top - first) / step) * step)], step };
  }

  function axis(figure, place) {
    const given = figure[place];
    const across = place === "x";
    const powers = given.log ? decades(figure) : null;
    return {
      type: given.log ? "log" : "value",
      name: given.label,
      nameLocation: "middle",
      nameGap: across ? 26 : 48,
      nameTextStyle: { color: colour("quiet"), width: across ? undefined : 260, overflow: "truncate" },
      ...(powers ? { min: powers.ends[0], max: powers.ends[1] } : { scale: true }),
      ...(across && given.label === "epoch" ? { min: "dataMin", max: "dataMax" } : {}),
      splitNumber: narrow.matches ? 4 : 6,
      ...(powers ? { interval: powers.step } : {}),
      axisLabel: { color: colour("ink"), hideOverlap: true, formatter: (value) => tick(value, given.log) },
      axisLine: { show: across, lineStyle: { color: colour("quiet") }, onZero: false },
      axisTick: { show: across, lineStyle: { color: colour("line") } },
      splitLine: { show: !across || given.label !== "epoch", lineStyle: { color: colour("line") } },
    };
  }

  // Built of nodes, so that what a user named stays text.
  function tip(figure, shown) {
    const box = document.createElement("div");
    const seen = shown.filter((one) => figure.series[one.seriesIndex].kind !== "band" && one.data[1] !== null);
    const row = (text, className) => {
      const made = document.createElement("div");
      made.className = className;
      made.textContent = text;
      box.append(made);
      return made;
    };
    if (seen.length) row(`${figure.x.label} ${read(seen[0].data[0])}`, "quiet");
    for (const one of seen) {
      const series = figure.series[one.seriesIndex];
      const made = row(`${series.label}: ${read(one.data[1])}`, "told");
      made.style.setProperty("--colour", colourOf(series));
    }
    return box;
  }

  function option(name) {
    const figure = figures[name];
    const curves = figure.series.some((series) => series.kind === "line" && series.side !== null);
    const paper = root.classList.contains("printing");
    return {
      animation: false,
      textStyle: { color: colour("ink"), fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 13 },
      grid: { left: 64, right: 14, top: 10, bottom: 44 },
      legend: { show: false, selected: hidden[name] },
      tooltip: {
        show: !paper,
        trigger: curves ? "axis" : "item",
        confine: true,
        backgroundColor: colour("sheet"),
        borderColor: colour("line"),
        textStyle: { color: colour("ink"), fontSize: 13 },
        axisPointer: { lineStyle: { color: colour("quiet") } },
        formatter: (shown) => tip(figure, [shown].flat()),
      },
      toolbox: { top: -100, feature: { dataZoom: { filterMode: "none", title: { zoom: "", back: "" } } } },
      xAxis: axis(figure, "x"),
      yAxis: axis(figure, "y"),
      series: figure.series.map((series, place) => ({
        name: series.name,
        z: 2 + place,
        ...KINDS[series.kind](series, colourOf(series), figure.y.log),
      })),
    };
  }

  // The legend is HTML above the figure: it wraps on a phone, and each entry is a button.
  function legend(name) {
    const place = document.getElementById(name);
    const list = document.createElement("div");
    list.className = "legend";
    list.id = `${name}-legend`;
    for (const label of new Set(figures[name].series.map((series) => series.name))) {
      const own = figures[name].series.filter((series) => series.name === label);
      const main = own.find((series) => series.kind === "line") || own[0];
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      button.append(sample(main), label);
      button.addEventListener("click", () => {
        const on = button.getAttribute("aria-pressed") !== "true";
        button.setAttribute("aria-pressed", String(on));
        hidden[name][label] = on;
        charts[name].setOption({ legend: { selected: hidden[name] } });
      });
      list.append(button);
    }
    place.before(list);
  }

  function sample(series) {
    const picture = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    picture.setAttribute("viewBox", "0 0 36 12");
    picture.setAttribute("aria-hidden", "true");
    picture.style.setProperty("--colour", `var(--${series.side === null ? "quiet" : `series-${series.side % 6}`})`);
    const points = series.kind === "points";
    const drawn = document.createElementNS(picture.namespaceURI, "path");
    const crossed = series.symbol === "cross";
    const round = "M13,6a5,5 0 1,0 10,0a5,5 0 1,0 -10,0";
    const shapes = { cross: "M13,1L23,11M23,1L13,11", diamond: "M18,1L23,6L18,11L13,6Z", square: "M13,1H23V11H13Z" };
    drawn.setAttribute("d", points ? shapes[series.symbol] || round : "M0,6H36");
    drawn.setAttribute("fill", points && series.symbol === "circle" ? "var(--colour)" : "none");
    drawn.setAttribute("stroke", "var(--colour)");
    drawn.setAttribute("stroke-width", points ? (crossed ? 2 : 1.5) : series.width);
    drawn.setAttribute("stroke-dasharray", points ? "" : series.dash.join(" "));
    drawn.setAttribute("stroke-opacity", series.opacity);
    picture.append(drawn);
    return picture;
  }

  // Drag to zoom, a double click shows all again; on a phone a drag scrolls the page.
  function drawOne(name) {
    charts[name].setOption(option(name), { notMerge: true });
    charts[name].dispatchAction({
      type: "takeGlobalCursor", key: "dataZoomSelect", dataZoomSelectActive: !narrow.matches,
    });
  }

  function draw() {
    for (const name of Object.keys(charts)) drawOne(name);
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
    for (const chart of Object.values(charts)) {
      chart.resize(printing ? PAPER : { width: "auto", height: "auto" });
      chart.getZr().refreshImmediately(); // paper does not wait for the next frame
    }
  }

  for (const name of Object.keys(figures)) {
    const place = document.getElementById(name);
    for (const note of place.querySelectorAll("noscript")) note.remove();
    hidden[name] = {};
    charts[name] = echarts.init(place, null, { renderer: "svg" });
    legend(name);
    charts[name].getZr().on("dblclick", () => drawOne(name));
    new ResizeObserver(() => {
      if (!root.classList.contains("printing")) charts[name].resize();
    }).observe(place);
  }
  if (logarithmic && figures.losses) {
    logarithmic.checked = figures.losses.y.log;
    logarithmic.addEventListener("change", () => {
      figures.losses.y.log = logarithmic.checked;
      draw();
    });
  }
  dark.addEventListener("change", draw);
  narrow.addEventListener("change", draw);
  window.addEventListener("beforeprint", () => onPaper(true));
  window.addEventListener("afterprint", () => onPaper(false));
  draw();
  root.classList.add("drawn");
})();
