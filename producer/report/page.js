// Draws the page's figures with ECharts and keeps them in the colours of the page: light, dark, on paper.
// Figures are the plain data of figures.py. Text of users only ever becomes text, never markup. What a reader
// may do with tables and code (copy, save, scroll) is in tools.js.
(() => {
  "use strict";

  const figures = JSON.parse(document.getElementById("figures").textContent);
  const root = document.documentElement;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const narrow = window.matchMedia("(max-width: 34rem)");
  const PAPER_WIDTH = 660;
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
  // `span` is how much the axis shows: values that lie close have as many digits as tell them apart.
  function tick(value, log, span = Infinity) {
    const exponent = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)) + 1e-9);
    if (log && exponent >= 0 && exponent <= 3) return String(Number(value.toPrecision(3)));
    if (!log && (value === 0 || (exponent > -4 && exponent < 6))) {
      const digits = Math.min(15, Math.max(6, Math.ceil(Math.log10(Math.abs(value) / span)) + 2));
      return Number(value.toPrecision(digits)).toLocaleString("en", { maximumSignificantDigits: digits });
    }
    const factor = Number((value / 10 ** exponent).toPrecision(3));
    return `${factor === 1 ? "" : `${factor}·`}10${raised(exponent)}`;
  }

  const read = (value) => (Number.isFinite(value) ? String(Number(value.toPrecision(6))) : "–");
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

  function points(series, given, log, figure) {
    const open = series.symbol !== "circle";
    return {
      type: "scatter",
      // What was known lies on top of the curves that run through it.
      ...(series.side === null ? { z: 100 } : {}),
      data: series.x.map((x, place) => [drawable(x, figure.x.log), drawable(series.y[place], log)]),
      symbol: SYMBOLS[series.symbol],
      symbolSize: series.size,
      itemStyle: {
        color: open ? "transparent" : given, opacity: series.opacity, borderColor: given, borderWidth: open ? 2 : 0,
      },
      emphasis: { disabled: true },
    };
  }

  // A bar from 0 to x at each row.
  function bars(series, given) {
    return {
      type: "custom",
      data: series.x.map((x, place) => [x, series.y[place]]),
      encode: { x: 0, y: 1 },
      clip: true,
      renderItem: (_, api) => {
        const [end, middle] = api.coord([api.value(0), api.value(1)]);
        const [begin] = api.coord([0, api.value(1)]);
        const height = Math.min(22, Math.abs(api.size([0, 1])[1]) * 0.5);
        return {
          type: "rect",
          shape: { x: Math.min(begin, end), y: middle - height / 2, width: Math.max(1, Math.abs(end - begin)), height, r: 2 },
          style: { fill: given },
        };
      },
    };
  }

  // A line from low to high at each row, with a stroke at x.
  function whiskers(series, given, _, figure) {
    const fits = (value) => drawable(value, figure.x.log);
    const data = series.y.map((y, place) => [fits(series.x[place]), y, fits(series.low[place]), fits(series.high[place])]);
    return {
      type: "custom",
      z: 50,
      data: data.filter(([, , low, high]) => low !== null && high !== null),
      encode: { x: [0, 2, 3], y: 1 },
      clip: true,
      renderItem: (_, api) => {
        const y = api.value(1);
        const [left, middle] = api.coord([api.value(2), y]);
        const [right] = api.coord([api.value(3), y]);
        const stroke = (shape, lineWidth) => ({ type: "line", shape, style: { stroke: series.side === null ? colour("ink") : given, lineWidth } });
        const upright = (x, half) => ({ x1: x, y1: middle - half, x2: x, y2: middle + half });
        const drawn = [stroke({ x1: left, y1: middle, x2: right, y2: middle }, 2), stroke(upright(left, 5), 2), stroke(upright(right, 5), 2)];
        if (Number.isFinite(api.value(0))) {
          const [x] = api.coord([api.value(0), y]);
          drawn.push(stroke(upright(x, 11), 4));
        }
        return { type: "group", children: drawn };
      },
    };
  }

  // A colour between two of the page's, in sRGB; how: 0 is the first.
  function between(one, other, how) {
    const parts = (name) => colour(name).match(/[0-9a-f]{2}/gi).map((pair) => parseInt(pair, 16));
    const [from, to] = [parts(one), parts(other)];
    return `rgb(${from.map((value, place) => Math.round(value + (to[place] - value) * Math.min(1, Math.max(0, how)))).join(",")})`;
  }

  // Cells shaded by their values: pale to strong, and of another colour with a stroke above the threshold.
  function heat(series) {
    const seen = series.values.flat().filter((value) => value !== null && value > 0);
    const scale = (value) => (series.log ? Math.log10(value) : value);
    const [low, high] = [Math.min(...seen.map(scale)), Math.max(...seen.map(scale))];
    const limit = series.threshold === null ? null : scale(series.threshold);
    const part = (value, from, to) => (to > from ? (value - from) / (to - from) : 1);
    const shade = (value) => {
      if (value === null) return "transparent";
      if (series.log && value <= 0) return colour("sheet");
      const at = scale(value);
      if (limit === null) return between("wash", "series-0", 0.06 + (series.texts ? 0.45 : 0.84) * part(at, low, high));
      if (at <= limit) return between("wash", "agree", 0.08 + 0.5 * part(at, low, limit));
      return between("wash", "differ", 0.35 + 0.65 * part(at, limit, high));
    };
    return {
      type: "custom",
      data: series.values.flatMap((row, y) => row.map((value, x) => [x, y, value])),
      encode: { x: 0, y: 1, tooltip: 2 },
      renderItem: (params, api) => {
        const [x, y, value] = [api.value(0), api.value(1), series.values[api.value(1)][api.value(0)]];
        const [middle, centre] = api.coord([x, y]);
        const [width, height] = api.size([1, 1]).map(Math.abs);
        const text = (series.texts || [])[y] ? series.texts[y][x] : "";
        const above = limit !== null && value > 0 && scale(value) > limit;
        const inset = Math.min(1, width / 8);
        const stroke = { x1: middle - 3, y1: centre + 3, x2: middle + 3, y2: centre - 3 };
        return {
          type: "group",
          children: [
            { type: "rect", shape: { x: middle - width / 2, y: centre - height / 2, width: width - inset, height: height - 1 }, style: { fill: shade(value), stroke: colour("line"), lineWidth: value === null ? 0 : 0.5 } },
            ...(above && !text && width >= 6 ? [{ type: "line", shape: stroke, style: { stroke: colour("paper"), lineWidth: 1.5 } }] : []),
            ...(text ? [{ type: "text", style: { x: middle, y: centre, text, fill: colour("ink"), align: "center", verticalAlign: "middle", fontSize: 12 } }] : []),
          ],
        };
      },
    };
  }

  const KINDS = { line, points, band, bars, whiskers, heat };

  // A line across the figure at a value, with its word, and a shade on one side of it.
  function guide(given, figure) {
    const across = given.axis === "x";
    return {
      type: "custom",
      data: [[given.value, given.value]],
      silent: true,
      z: 1,
      clip: false,
      encode: across ? { x: 0, y: [] } : { x: [], y: 1 },
      renderItem: (params) => {
        const { x, y, width, height } = params.coordSys;
        const at = (value) => charts[figure].convertToPixel(across ? { xAxisIndex: 0 } : { yAxisIndex: 0 }, value);
        const ends = [at(given.value), ...(given.until === null ? [] : [at(given.until)])];
        const from = given.below ? (across ? x : y + height) : ends[0];
        const to = ends[ends.length - 1];
        const shade = across ? { x: from, y, width: to - from, height } : { x, y: from, width, height: to - from };
        const line = (end) => (across ? { x1: end, y1: y, x2: end, y2: y + height } : { x1: x, y1: end, x2: x + width, y2: end });
        const middle = (ends[0] + to) / 2;
        const word = across ? { x: middle, y: y - 4, align: "center" } : { x: x + width, y: middle - 4, align: "right" };
        const dashed = given.label ? [4, 3] : null;
        return {
          type: "group",
          children: [
            { type: "rect", shape: shade, style: { fill: colour("agree"), opacity: from === to ? 0 : 0.1 } },
            ...ends.map((end) => ({
              type: "line", shape: line(end), style: { stroke: colour("quiet"), lineWidth: 1.25, lineDash: dashed },
            })),
            { type: "text", style: { ...word, verticalAlign: "bottom", text: given.label, fill: colour("quiet"), fontSize: 12 } },
          ],
        };
      },
    };
  }

  // The powers of ten around what is drawn, where a logarithmic axis has its ticks.
  function decades(figure, place) {
    const drawn = figure.series.flatMap((series) =>
      place === "y" ? [series.y, series.high || []].flat() : [series.x, series.low || [], series.high || []].flat());
    const across = figure.guides.filter((one) => one.axis === place).map((one) => one.value);
    const seen = [...drawn, ...across].filter((value) => value > 0);
    if (!seen.length) return null;
    const [low, high] = seen.reduce(
      ([least, most], value) => [Math.min(least, value), Math.max(most, value)], [Infinity, -Infinity],
    );
    // Beyond a guide there is a decade of its other side to see.
    const beyond = across.some((value) => value <= low) ? 1 : 0;
    const past = across.some((value) => value >= high) ? 1 : 0;
    const [bottom, top] = [Math.floor(Math.log10(low)) - beyond, Math.ceil(Math.log10(high) + 1e-9) + past];
    const step = Math.ceil((top - bottom) / (narrow.matches ? 4 : 6));
    const first = Math.floor(bottom / step) * step;
    return { ends: [10 ** first, 10 ** (first + Math.ceil((top - first) / step) * step)], step };
  }

  // How much of an axis what is drawn takes.
  function shown(figure, place) {
    const drawn = figure.series.flatMap((series) => (place === "y" ? [series.y, series.high || []] : [series.x]).flat());
    const [low, high] = drawn.filter(Number.isFinite).reduce(
      ([least, most], value) => [Math.min(least, value), Math.max(most, value)], [Infinity, -Infinity],
    );
    return high > low ? high - low : Infinity;
  }

  // Guides are within what is shown, with a little room beyond them.
  function around(figure, place) {
    const ends = figure.guides.filter((one) => one.axis === place && one.until !== null).flatMap((one) => [one.value, one.until]);
    if (!ends.length) return {};
    const room = (Math.max(...ends) - Math.min(...ends)) / 4;
    return {
      min: (seen) => Math.min(seen.min, ...ends.map((end) => end - room)),
      max: (seen) => Math.max(seen.max, ...ends.map((end) => end + room)),
    };
  }

  // Lines of a row's name, which is folded where it is long.
  const nameWidth = (given) => (Math.max(...given.names.map((name) => name.length)) > (narrow.matches ? 14 : 34) ? (narrow.matches ? 110 : 230) : 0);
  function linesOf(given) {
    const most = nameWidth(given) ? nameWidth(given) / 7 : Infinity;
    return Math.max(...given.names.map((name) => name.split("\n").reduce((sum, part) => sum + Math.max(1, Math.ceil(part.length / most)), 0)));
  }

  // Rows with names, the first on top.
  function rows(given) {
    const width = nameWidth(given);
    return {
      type: "value",
      inverse: true,
      min: -0.6,
      max: given.names.length - 0.4,
      axisLabel: {
        color: colour("ink"), customValues: given.names.map((_, place) => place), lineHeight: 16,
        ...(width ? { width, overflow: "break" } : {}), formatter: (place) => given.names[place] ?? "",
      },
      axisTick: { show: false },
      axisLine: { show: false },
      splitLine: { show: false },
    };
  }

  // Names on a phone that have no room side by side.
  const leans = (given) => narrow.matches && given.names.length <= 5 && given.names.some((name) => name.length * 7 * given.names.length > 290);

  function columns(given) {
    const step = Math.ceil(given.names.length / (narrow.matches ? 5 : 12));
    return {
      type: "value",
      name: given.label,
      nameLocation: "middle",
      nameGap: 28,
      nameTextStyle: { color: colour("quiet") },
      min: -0.5,
      max: given.names.length - 0.5,
      axisLabel: {
        color: colour("ink"), customValues: given.names.map((_, place) => place).filter((place) => place % step === 0),
        formatter: (place) => given.names[place] ?? "",
        ...(leans(given) ? { rotate: 40 } : narrow.matches ? { width: (290 * step) / given.names.length, overflow: "truncate" } : {}),
      },
      axisTick: { show: false },
      axisLine: { show: false },
      splitLine: { show: false },
    };
  }

  // Of the series alone: a guide across has a place on this axis, too, that is none.
  function epochs(figure) {
    const drawn = figure.series.flatMap((series) => series.x);
    return { min: drawn.reduce((a, b) => Math.min(a, b)), max: drawn.reduce((a, b) => Math.max(a, b)) };
  }

  function axis(figure, place) {
    const given = figure[place];
    const across = place === "x";
    if (given.names.length) return across ? columns(given) : rows(given);
    const powers = given.log ? decades(figure, place) : null;
    const guided = powers ? {} : around(figure, place);
    return {
      type: given.log ? "log" : "value",
      name: given.label,
      nameLocation: "middle",
      nameGap: across ? 28 : 52,
      nameTextStyle: { color: colour("quiet"), width: across ? undefined : 260, overflow: "truncate" },
      ...(powers ? { min: powers.ends[0], max: powers.ends[1] } : { scale: true, ...guided }),
      ...(across && given.label === "epoch" ? epochs(figure) : given.ends && !given.log ? { min: given.ends[0], max: given.ends[1], interval: (given.ends[1] - given.ends[0]) / (narrow.matches ? 2 : 5) } : {}),
      splitNumber: narrow.matches ? 4 : 6,
      ...(powers ? { interval: powers.step } : {}),
      axisLabel: {
        color: colour("ink"),
        hideOverlap: true,
        formatter: (value) => tick(value, given.log, shown(figure, place)),
        // Ends that guides set are no round numbers.
        ...(guided.min ? { showMinLabel: false, showMaxLabel: false } : {}),
      },
      axisLine: { show: across, lineStyle: { color: colour("quiet") }, onZero: false },
      axisTick: { show: across, lineStyle: { color: colour("line") } },
      splitLine: { show: !across || given.label !== "epoch", lineStyle: { color: colour("line") } },
    };
  }

  // Built of nodes, so that what a user named stays text.
  function tip(figure, shown) {
    const box = document.createElement("div");
    const told = (one) => figure.series[one.seriesIndex] && figure.series[one.seriesIndex].kind !== "band";
    const seen = shown.filter((one) => told(one) && one.data[1] !== null);
    const row = (text, className) => {
      const made = document.createElement("div");
      made.className = className;
      made.textContent = text;
      box.append(made);
      return made;
    };
    const named = figure.y.names.length > 0;
    if (seen.length) {
      const [x, y] = seen[0].data;
      const across = figure.x.names.length ? figure.x.names[Math.round(x)] || "" : read(x);
      row(named ? figure.y.names[Math.round(y)] || "" : `${figure.x.label} ${across}`, "quiet");
    }
    for (const one of seen) {
      const series = figure.series[one.seriesIndex];
      const [x, y, low, high] = one.data;
      if (series.kind === "heat") {
        row(`${figure.x.label} ${figure.x.names[x]}: ${low === 0 ? "equal" : read(low)}`, "told");
        continue;
      }
      const ends = series.kind === "whiskers" ? ` (${read(low)} to ${read(high)})` : "";
      const told = series.texts ? series.texts[0][one.dataIndex] : read(named ? x : y);
      const made = row(`${series.label}: ${told}${ends}`, "told");
      made.style.setProperty("--colour", colourOf(series));
    }
    return box;
  }

  function option(name) {
    const figure = figures[name];
    const curves = figure.series.some((series) => series.kind === "line" && series.side !== null);
    const named = figure.y.names.length > 0;
    const paper = root.classList.contains("printing");
    return {
      animation: false,
      textStyle: { color: colour("ink"), fontFamily: getComputedStyle(document.body).fontFamily, fontSize: 13 },
      grid: named
        ? { left: 8, right: 22, top: figure.guides.some((one) => one.label) ? 24 : 8, bottom: 34, outerBoundsMode: "same", outerBoundsContain: "axisLabel" }
        : { left: 68, right: 16, top: 12, bottom: leans(figure.x) ? 84 : 46 },
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
      series: [
        ...figure.series.map((series, place) => ({
          name: series.name,
          z: 2 + place,
          ...KINDS[series.kind](series, colourOf(series), figure.y.log, figure),
        })),
        ...figure.guides.map((one) => guide(one, name)),
      ],
    };
  }

  // The legend is HTML above the figure: it wraps on a phone, and each entry is a button.
  function legend(name) {
    const place = document.getElementById(name);
    const named = new Set(figures[name].series.filter((series) => series.kind !== "heat").map((series) => series.name));
    if (!named.size) return;
    if (named.size < 2 && figures[name].y.names.length) return;
    const list = document.createElement("div");
    list.className = "legend";
    list.id = `${name}-legend`;
    for (const label of named) {
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
    const bar = series.kind === "bars";
    const drawn = document.createElementNS(picture.namespaceURI, "path");
    const crossed = series.symbol === "cross";
    const round = "M13,6a5,5 0 1,0 10,0a5,5 0 1,0 -10,0";
    const shapes = { cross: "M13,1L23,11M23,1L13,11", diamond: "M18,1L23,6L18,11L13,6Z", square: "M13,1H23V11H13Z" };
    const lines = series.kind === "whiskers" ? "M4,6H32M4,2V10M32,2V10" : "M0,6H36";
    drawn.setAttribute("d", points ? shapes[series.symbol] || round : bar ? "M4,2H32V10H4Z" : lines);
    drawn.setAttribute("fill", bar || (points && series.symbol === "circle") ? "var(--colour)" : "none");
    drawn.setAttribute("stroke", "var(--colour)");
    drawn.setAttribute("stroke-width", points ? (crossed ? 2 : 1.5) : series.kind === "line" ? series.width : 2);
    drawn.setAttribute("stroke-dasharray", points ? "" : series.dash.join(" "));
    drawn.setAttribute("stroke-opacity", series.opacity);
    picture.append(drawn);
    return picture;
  }

  // Drag to zoom, a double click shows all again; on a phone a drag scrolls the page.
  function drawOne(name) {
    const { names } = figures[name].y;
    if (names.length) charts[name].getDom().style.minHeight = `${names.length * (linesOf(figures[name].y) * 16 + 6) + 66}px`;
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
    draw();
    for (const chart of Object.values(charts)) {
      const height = chart.getDom().clientHeight;
      chart.resize(printing ? { width: PAPER_WIDTH, height, silent: true } : { width: "auto", height: "auto" });
      chart.getZr().refreshImmediately(); // paper does not wait for the next frame
    }
  }

  for (const name of Object.keys(figures)) {
    const place = document.getElementById(name);
    for (const note of place.querySelectorAll("noscript")) note.remove();
    hidden[name] = {};
    charts[name] = echarts.init(place, null, { renderer: "svg" });
    if (figures[name].group) charts[name].group = figures[name].group;
    legend(name);
    charts[name].getZr().on("dblclick", () => drawOne(name));
    new ResizeObserver(() => {
      if (!root.classList.contains("printing")) charts[name].resize();
    }).observe(place);
  }
  for (const box of document.querySelectorAll(".logarithmic")) {
    const axis = figures[box.dataset.figure].y;
    box.checked = axis.log;
    box.addEventListener("change", () => {
      axis.log = box.checked;
      drawOne(box.dataset.figure);
    });
  }
  for (const group of new Set(Object.values(figures).map((figure) => figure.group).filter(Boolean))) echarts.connect(group);
  dark.addEventListener("change", draw);
  narrow.addEventListener("change", draw);
  window.addEventListener("beforeprint", () => onPaper(true));
  window.addEventListener("afterprint", () => onPaper(false));
  draw();
  root.classList.add("drawn");
})();
