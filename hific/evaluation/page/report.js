// What the page does when it is used. Numbers and drawings come from Python: nothing is computed here but places.
(() => {
  // The main table: differences from the chosen reference.
  const reference = byId("reference");
  function showReference() {
    for (const one of all("[data-reference]")) one.hidden = one.dataset.reference !== reference.value;
  }
  if (reference) {
    reference.addEventListener("change", showReference);
    showReference(); // a browser keeps a choice over a reload
  }

  // Curves: the metric, points of images, series that are hidden, tooltips.
  const curves = byId("curves");
  const tooltip = byId("tooltip");
  const NEAR = 36; // pixels from a marker within which it counts as pointed at
  const pointsOf = new WeakMap();
  let near = null;

  function toPlace(svg, row, place) {
    const scale = svg.dataset;
    const shown = (value) => (scale.log === "1" ? Math.log10(value) : value);
    const between = (value, low, high, begin, end) =>
      Number(begin) + ((value - low) / (high - low)) * (Number(end) - Number(begin));
    return [
      between(shown(row[BPP]), shown(Number(scale.x0)), shown(Number(scale.x1)), scale.left, scale.right),
      between(row[METRICS + place], Number(scale.y0), Number(scale.y1), scale.bottom, scale.top),
    ];
  }

  function addImages(svg, place) {
    const group = svg.querySelector(".images");
    if (group.childElementCount || !svg.classList.contains("of-images")) return;
    for (const row of data.rows) {
      if (row[METRICS + place] === null) continue;
      const [x, y] = toPlace(svg, row, place);
      const system = data.systems[row[SYSTEM]];
      const metric = data.metrics[place];
      const circle = draw("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: 2.6, class: `series-${system.color}` });
      circle.dataset.series = system.series;
      circle.dataset.label =
        `${data.images[row[IMAGE]]}, ${system.name}: ${row[BPP].toFixed(4)} bpp, ${metric.title} ${metricText(row, place)}`;
      const button = curves.querySelector(`.legend [data-series="${system.series}"]`);
      circle.classList.toggle("off", button.getAttribute("aria-pressed") === "false");
      group.append(circle);
    }
    pointsOf.delete(svg);
  }

  function markersOf(svg) {
    if (!pointsOf.has(svg)) {
      const points = all(".marker, .images circle", svg).map((mark) => {
        const place = mark.tagName === "circle"
          ? [mark.getAttribute("cx"), mark.getAttribute("cy")]
          : mark.getAttribute("transform").match(/-?[\d.]+/g);
        return { mark, x: Number(place[0]), y: Number(place[1]) };
      });
      pointsOf.set(svg, points.sort((one, other) => one.x - other.x));
    }
    return pointsOf.get(svg).filter(({ mark }) => !mark.closest(".off"));
  }

  function point(svg, found) {
    if (near) near.mark.classList.remove("near");
    near = found;
    tooltip.hidden = !found;
    if (!found) return;
    found.mark.classList.add("near");
    tooltip.textContent = found.mark.dataset.label || found.mark.getAttribute("aria-label");
    const place = new DOMPoint(found.x, found.y).matrixTransform(svg.getScreenCTM());
    const { width, height } = tooltip.getBoundingClientRect();
    const left = Math.min(Math.max(place.x - width / 2, 8), document.documentElement.clientWidth - width - 8);
    const top = place.y - height - 14 < 8 ? place.y + 16 : place.y - height - 14;
    tooltip.style.transform = `translate(${left}px, ${top}px)`;
  }

  function pointAt(svg, event) {
    const matrix = svg.getScreenCTM();
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix.inverse());
    let best = null;
    let least = NEAR / matrix.a;
    for (const one of markersOf(svg)) {
      const distance = Math.hypot(one.x - at.x, one.y - at.y);
      if (distance < least) [best, least] = [one, distance];
    }
    point(svg, best);
  }

  function pointByKey(svg, event) {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    const points = markersOf(svg);
    if (event.key === "Escape") point(svg, null);
    if (!step || !points.length) return;
    event.preventDefault();
    const before = near ? points.findIndex(({ mark }) => mark === near.mark) : -1;
    const next = before < 0 ? (step > 0 ? 0 : points.length - 1) : (before + step + points.length) % points.length;
    point(svg, points[next]);
    byId("told").textContent = tooltip.textContent;
  }

  function showCurve() {
    const chosen = byId("curve-metric").value;
    const images = byId("curve-images")?.checked ?? false;
    curves.classList.toggle("each-image", images);
    for (const one of all(".curve-of", curves)) {
      one.hidden = one.dataset.metric !== chosen;
      if (!one.hidden && images) all("svg", one).forEach((svg) => addImages(svg, Number(chosen)));
    }
    point(null, null);
  }

  function toggleSeries(button) {
    const shown = button.getAttribute("aria-pressed") === "false";
    button.setAttribute("aria-pressed", String(shown));
    for (const one of all(`svg.curve [data-series="${button.dataset.series}"]`, curves)) {
      one.classList.toggle("off", !shown);
    }
    point(null, null);
  }

  if (curves) {
    for (const svg of all("svg.curve", curves)) {
      svg.addEventListener("pointermove", (event) => pointAt(svg, event));
      svg.addEventListener("pointerdown", (event) => pointAt(svg, event));
      svg.addEventListener("pointerleave", () => point(svg, null));
      svg.addEventListener("blur", () => point(svg, null));
      svg.addEventListener("keydown", (event) => pointByKey(svg, event));
    }
    byId("curve-metric").addEventListener("change", showCurve);
    byId("curve-images")?.addEventListener("change", showCurve);
    for (const button of all(".legend button", curves)) button.addEventListener("click", () => toggleSeries(button));
    window.addEventListener("scroll", () => point(null, null), { passive: true });
    showCurve();
  }

  // Pictures: two on top of each other, the upper one clipped at the divider.
  const viewer = byId("viewer");
  if (viewer) {
    const LEAST = 320; // pixels of a picture's width
    const pane = byId("pane");
    const stage = byId("stage");
    const cut = byId("cut");
    const choices = { image: byId("picture-image"), left: byId("picture-left"), right: byId("picture-right") };
    const zoom = () => Number(document.querySelector('input[name="zoom"]:checked').value);
    const chosen = () => data.pictures.images[Number(choices.image.value)];

    function fill(select, options, wanted) {
      select.replaceChildren(...options.map(([value, text]) => make("option", text, { value })));
      select.value = options.some(([value]) => String(value) === wanted) ? wanted : String(options.at(-1)[0]);
    }

    function showImage() {
      const systems = chosen().shown.map(([system]) => [system, systemName(system)]);
      fill(choices.left, systems, choices.left.value || String(ORIGINAL));
      fill(choices.right, systems, choices.right.value || String(data.firstShown ?? systems[1][0]));
      showPictures();
    }

    function showPictures() {
      const shown = new Map(chosen().shown);
      for (const [side, id] of [["left", "before"], ["right", "after"]]) {
        const system = Number(choices[side].value);
        byId(id).src = data.pictures.uris[shown.get(system)];
        byId(id).alt = `${data.images[chosen().image]}, ${systemName(system)}`;
        viewer.querySelector(`.side.${side}`).textContent = systemName(system);
      }
      showZoom();
      showCaptions();
    }

    function showZoom() {
      viewer.classList.toggle("enlarged", zoom() > 0);
      // the narrow side of a thumbnail would leave no room for the divider
      const most = Math.min(704, 0.85 * window.innerHeight); // as #pane has it
      const factor = zoom() || Math.min(Math.max(1, LEAST / chosen().width), most / chosen().height);
      stage.classList.toggle("pixels", factor > 1);
      for (const image of all("img", stage)) {
        image.style.width = `${factor * chosen().width}px`;
        image.style.height = zoom() ? `${factor * chosen().height}px` : "auto";
        // before it is decoded, it takes its place already
        image.width = chosen().width;
        image.height = chosen().height;
      }
      place();
    }

    function place() {
      const across = (Number(cut.value) / 100) * pane.clientWidth;
      byId("after").style.clipPath = `inset(0 0 0 ${(across + pane.scrollLeft).toFixed(1)}px)`;
      byId("divider").style.left = `${across}px`;
      cut.setAttribute("aria-valuetext", `${cut.value} % ${systemName(Number(choices.left.value))}`);
    }

    function cutAt(clientX) {
      const box = pane.getBoundingClientRect();
      cut.value = String((100 * (clientX - box.left)) / pane.clientWidth);
      place();
    }

    function drag(element, mayDrag) {
      element.addEventListener("pointerdown", (event) => {
        if (event.button || !mayDrag()) return;
        element.setPointerCapture(event.pointerId);
        cutAt(event.clientX);
        event.preventDefault();
      });
      element.addEventListener("pointermove", (event) => {
        if (element.hasPointerCapture(event.pointerId)) cutAt(event.clientX);
      });
    }

    function showCaptions() {
      const rows = new Map(chosen().rows.map((row) => [row[SYSTEM], row]));
      const sides = [choices.left, choices.right].map(({ value }) => rows.get(Number(value)));
      const names = [choices.left, choices.right].map(({ value }) => systemName(Number(value)));
      const head = make("thead");
      const body = make("tbody");
      const line = (title, cells, best = []) => {
        const tr = make("tr");
        tr.append(make("th", title, { scope: "row" }));
        cells.forEach((text, side) => tr.append(make("td", text, best[side] ? { class: "best" } : {})));
        body.append(tr);
      };
      const top = make("tr");
      top.append(make("th", data.images[chosen().image], { scope: "col", class: "name" }));
      for (const name of names) top.append(make("th", name, { scope: "col", class: "name" }));
      head.append(top);
      const raw = 3 * chosen().width * chosen().height;
      line("bytes", sides.map((row) => (row ? row[BYTES] : raw).toLocaleString("en-US")));
      line("bpp", sides.map((row) => (row ? row[BPP].toFixed(4) : "24 (8-bit RGB)")));
      data.metrics.forEach((metric, number_) => {
        const values = sides.map((row) => (row ? row[METRICS + number_] : null));
        if (values.every((value) => value === null)) return;
        const both = values.every((value) => value !== null);
        const better = (one, other) => both && one !== other && (one > other) === metric.up;
        const best = [better(values[0], values[1]), better(values[1], values[0])];
        line(metric.heading, sides.map((row) => (row ? metricText(row, number_) : "")), best);
      });
      if (sides.some((row) => row && row[SETTING])) line("setting", sides.map((row) => (row ? row[SETTING] : "")));
      if (sides.some((row) => row && row[NOTE])) line("note", sides.map((row) => (row ? row[NOTE] : "")));
      byId("captions").replaceChildren(head, body);
    }

    fill(choices.image, data.pictures.images.map((one, place_) => [place_, data.images[one.image]]), "0");
    choices.image.addEventListener("change", showImage);
    choices.left.addEventListener("change", showPictures);
    choices.right.addEventListener("change", showPictures);
    byId("picture-swap").addEventListener("click", () => {
      [choices.left.value, choices.right.value] = [choices.right.value, choices.left.value];
      showPictures();
    });
    for (const one of all('input[name="zoom"]')) one.addEventListener("change", showZoom);
    cut.addEventListener("input", place);
    pane.addEventListener("scroll", place, { passive: true });
    new ResizeObserver(place).observe(pane);
    window.addEventListener("resize", showZoom);
    drag(byId("divider"), () => true);
    drag(stage, () => !zoom()); // enlarged, dragging scrolls
    showImage();
  }

  // Each image: filters and sorting.
  const table = byId("rows");
  if (table) {
    const FIRST = 200; // more are there on demand: a page of ten thousand lines is slow
    const filter = { image: byId("filter-image"), system: byId("filter-system"), count: byId("filter-count") };
    const columns = [
      { title: "image", text: true, value: (row) => data.images[row[IMAGE]] },
      { title: "system", text: true, value: (row) => systemName(row[SYSTEM]) },
      { title: "bytes", value: (row) => row[BYTES], show: (row) => row[BYTES].toLocaleString("en-US") },
      { title: "bpp", value: (row) => row[BPP], show: (row) => row[BPP].toFixed(4) },
      ...data.metrics.map((metric, place) => ({
        title: metric.heading, value: (row) => row[METRICS + place], show: (row) => metricText(row, place),
      })),
      { title: "setting", text: true, value: (row) => row[SETTING] },
      { title: "note", text: true, value: (row) => row[NOTE] },
    ].filter((column) => column.title !== "note" || data.rows.some((row) => row[NOTE]));
    let sorted = { column: null, up: true };
    let isWhole = false;

    function compare(one, other) {
      const [a, b] = [sorted.column.value(one), sorted.column.value(other)];
      if (a === null || b === null) return (a === null) - (b === null); // absent ones come last
      const order = sorted.column.text ? a.localeCompare(b, "en", { numeric: true }) : a - b;
      return sorted.up ? order : -order;
    }

    function line(row) {
      const tr = make("tr");
      columns.forEach((column, place) => {
        const cell = make(place ? "td" : "th", column.show ? column.show(row) : column.value(row));
        if (!place) cell.setAttribute("scope", "row");
        if (column.text) cell.classList.add("text", "name");
        if (column.title === "system") cell.prepend(swatch(data.systems[row[SYSTEM]]));
        tr.append(cell);
      });
      return tr;
    }

    function show() {
      const part = filter.image.value.trim().toLowerCase();
      const found = data.rows.filter((row) =>
        data.images[row[IMAGE]].toLowerCase().includes(part) &&
        (!filter.system.value || row[SYSTEM] === Number(filter.system.value)));
      if (sorted.column) found.sort(compare);
      const shown = isWhole ? found : found.slice(0, FIRST);
      table.tBodies[0].replaceChildren(...shown.map(line));
      filter.count.textContent = `${found.length} of ${data.rows.length} rows`;
      byId("more").hidden = shown.length === found.length;
      byId("more").textContent = `Show all ${found.length} rows`;
    }

    const head = make("tr");
    for (const column of columns) {
      const cell = make("th", "", { scope: "col", "aria-sort": "none", ...(column.text ? { class: "text" } : {}) });
      const button = make("button", column.title, { type: "button" });
      button.addEventListener("click", () => {
        sorted = { column, up: sorted.column === column ? !sorted.up : true };
        for (const other of head.cells) other.setAttribute("aria-sort", "none");
        cell.setAttribute("aria-sort", sorted.up ? "ascending" : "descending");
        show();
      });
      cell.append(button);
      head.append(cell);
    }
    table.tHead.append(head);
    data.systems.forEach((system, place) => filter.system.append(make("option", system.name, { value: place })));
    filter.image.addEventListener("input", show);
    filter.system.addEventListener("change", show);
    byId("more").addEventListener("click", () => { isWhole = true; show(); });
    show();
  }
})();
