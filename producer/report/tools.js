// What a reader may do on a page: copy and save tables, code and figures, and see where a table goes on.
(() => {
  "use strict";

  const root = document.documentElement;
  const title = document.title.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "").slice(0, 60) || "likewise";

  function button(text, label, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.setAttribute("aria-label", label);
    made.addEventListener("click", () => act(made));
    return made;
  }

  function tools(beside, ...buttons) {
    const list = document.createElement("div");
    list.className = "tools";
    list.append(...buttons);
    beside.before(list);
  }

  function save(text, file, type) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  // The clipboard of a page from a file is not there in every browser; an older way then copies.
  async function copy(text, by) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = document.createElement("textarea");
      area.value = text;
      document.body.append(area);
      area.select();
      document.execCommand("copy");
      area.remove();
      by.focus();
    }
    const before = by.textContent;
    by.textContent = "Copied";
    setTimeout(() => { by.textContent = before; }, 1500);
  }

  const cells = (table) => [...table.rows].map((row) => [...row.cells].map((cell) => {
    const own = cell.cloneNode(true);
    for (const unseen of own.querySelectorAll(".hidden")) unseen.remove();
    return own.textContent.trim().replace(/\s+/g, " ");
  }));
  // A spreadsheet would run a text that begins so, unless it is a number.
  const harmless = (cell) => (/^[=+\-@]/.test(cell) && Number.isNaN(Number(cell)) ? `'${cell}` : cell);
  const csv = (rows) => `${rows.map((row) => row.map((cell) => `"${harmless(cell).replace(/"/g, '""')}"`).join(",")).join("\r\n")}\r\n`;
  const tsv = (rows) => rows.map((row) => row.map(harmless).join("\t")).join("\n");

  for (const table of document.querySelectorAll("table")) {
    const said = table.caption && table.caption.textContent.trim() ? table.caption.textContent.trim() : "table";
    tools(
      table.closest(".table"),
      button("Copy", `Copy: ${said}`, (by) => copy(tsv(cells(table)), by)),
      button("CSV", `Save as CSV: ${said}`, () => save(csv(cells(table)), `${title}.csv`, "text/csv")),
    );
  }
  for (const code of document.querySelectorAll("pre")) {
    const file = code.dataset.file;
    tools(
      code,
      button("Copy", file ? `Copy ${file}` : "Copy this code", (by) => copy(code.textContent, by)),
      ...(file ? [button("Save", `Save ${file}`, () => save(code.textContent, file, "text/plain"))] : []),
    );
  }
  for (const place of document.querySelectorAll(".figure")) {
    const chart = typeof echarts === "undefined" ? null : echarts.getInstanceByDom(place);
    if (!chart) continue;
    const said = place.getAttribute("aria-label");
    const legend = document.getElementById(`${place.id}-legend`);
    tools(
      legend || place,
      button("SVG", `Save as SVG: ${said}`, () => save(chart.renderToSVGString(), `${title}-${place.id}.svg`, "image/svg+xml")),
      button("CSV", `Save what is drawn as CSV: ${said}`, () => save(csv(drawn(place.id)), `${title}-${place.id}.csv`, "text/csv")),
    );
  }

  // Every number of a figure, a line each.
  function drawn(name) {
    const figure = JSON.parse(document.getElementById("figures").textContent)[name];
    const text = (value) => (value === null || value === undefined ? "" : String(value));
    const head = ["series", figure.x.label || "x", figure.y.label || "row", "low", "high"];
    return [head, ...figure.series.flatMap((series) => series.values
      ? series.values.flatMap((row, y) => row.map((value, x) => [series.label, figure.x.names[x] || x, figure.y.names[y] || y, text(value), ""].map(text)))
      : series.y.map((y, place) => [
        series.label, text(series.x[place]), figure.y.names[y] || text(y), text((series.low || [])[place]), text((series.high || [])[place]),
      ]))];
  }

  // A table that goes on to the right says so, until its end is seen.
  function hint(scroll) {
    const left = scroll.scrollWidth - scroll.clientWidth - scroll.scrollLeft;
    scroll.parentElement.classList.toggle("more", left > 2);
  }
  const sizes = new ResizeObserver((entries) => { for (const entry of entries) hint(entry.target); });
  for (const scroll of document.querySelectorAll(".scroll")) {
    scroll.addEventListener("scroll", () => hint(scroll), { passive: true });
    sizes.observe(scroll);
  }

  // The table of contents marks the section that is read.
  const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.hash.slice(1), link]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const link of links.values()) link.removeAttribute("aria-current");
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "0px 0px -75% 0px" });
  for (const section of document.querySelectorAll("main > section")) seen.observe(section);

  // Paper shows what is folded away.
  function onPaper(printing) {
    for (const fold of document.querySelectorAll("details")) {
      if (printing) {
        fold.dataset.open = fold.open;
        fold.open = true;
      } else {
        fold.open = fold.dataset.open === "true";
      }
    }
  }
  window.addEventListener("beforeprint", () => onPaper(true));
  window.addEventListener("afterprint", () => onPaper(false));
  root.classList.add("ready");
})();
