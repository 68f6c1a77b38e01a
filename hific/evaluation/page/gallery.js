// Photos by systems: all pictures of a photo under one zoom. A picture is a script that hands over a data URI, read when
// it comes into sight: from disk a canvas may read the pixels of such a picture, and not those of a file of its own.
(() => {
  const MOST = 32; // page pixels a picture's pixel, or what fits if that is more
  const LEVELS = [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1, 2, 3, 4, 6, 8, 12, 16, 24, MOST]; // of keys and buttons
  const LATCH = 400; // ms in which a turning wheel goes on to scroll the page
  const PRESS = 350; // ms after which a press that did not move is held
  const STILL = 6; // pixels
  const FLICKER = 700; // ms; below three flashes a second
  const MANY = 6; // systems, which nobody hides one by one
  const COLUMN = { least: 270, phone: 150 }; // pixels of width
  const VIEWS = ["grid", "slider"];
  const LAYERS = ["picture", "difference", "ssim"];
  const photos = data.pictures.images;
  const stage = byId("stage");
  const cut = byId("cut");
  const choices = { photo: byId("photo"), rate: byId("rate"), compared: byId("compared"), gain: byId("gain") };
  const rowOf = new Map(data.rows.map((row) => [`${row[IMAGE]} ${row[SYSTEM]}`, row]));
  const places = data.systems.map((_, place) => place);

  // What is shown. `off`: systems that are hidden; `scale`: page pixels a picture's pixel, null fits; `x`, `y`: what of
  // the photo is in the middle, as shares.
  const initial = () => ({ photo: 0, off: new Set(), view: "grid", layer: "picture", gain: 8, scale: null, x: 0.5, y: 0.5 });
  let state = initial();
  let panes = new Map(); // of the photo, by system
  const photo = () => photos[state.photo];
  const picturesOf = (one) => new Map(one.shown);
  const group = () => (choices.rate.value === "" ? null : data.groups[Number(choices.rate.value)]);
  const ofRate = () => group()?.map(([system]) => system) ?? places;
  // systems at one rate need not say so in their names
  const shortName = (system) => group()?.find(([one]) => one === system)?.[1] ?? systemName(system);
  const shown = () => [ORIGINAL, ...ofRate()].filter((system) => !state.off.has(system));

  // Pictures, by their numbers.
  const arriving = new Map();
  let loaded = new Map();
  window.hificPicture = (number_, uri) => arriving.get(number_)?.(uri);

  function load(number_) {
    if (!loaded.has(number_)) {
      loaded.set(number_, new Promise((resolve, reject) => {
        arriving.set(number_, resolve);
        const script = make("script", "", { src: `pictures/${String(number_).padStart(4, "0")}.js` });
        script.addEventListener("error", () => reject(new Error("its file is missing beside this page")));
        script.addEventListener("load", () => script.remove());
        document.head.append(script);
      }));
    }
    return loaded.get(number_);
  }

  // Panes: one for each system, above its numbers.
  const inSight = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) fillPane(panes.get(Number(entry.target.dataset.system)), entry.target);
  }, { rootMargin: "300px" });

  function makePane(system) {
    const figure = make("figure", "", { class: "pane", "data-system": system });
    const frame = make("div", "", { class: "frame" });
    const layers = make("div", "", { class: "layers" });
    const top = make("div", "", { class: "top" });
    const pane = {
      system, figure, frame, number: picturesOf(photo()).get(system), isFilled: false, drawn: "",
      original: make("img", "", { class: "original", alt: "" }),
      picture: make("img", "", { class: "picture", alt: `${data.images[photo().image]}, ${systemName(system)}` }),
      map: make("canvas", "", { class: "map", hidden: "", role: "img" }),
      state: make("p", "", { class: "state" }),
    };
    top.append(pane.picture, pane.map);
    layers.append(pane.original, top);
    frame.append(layers, pane.state, make("span", "original", { class: "side left", "aria-hidden": "true" }),
      make("span", shortName(system), { class: "side right", "aria-hidden": "true" }));
    figure.append(frame, captionOf(system));
    const isMeasured = system === ORIGINAL || rowOf.has(`${photo().image} ${system}`);
    if (pane.number !== undefined) inSight.observe(figure);
    pane.state.textContent = pane.number !== undefined ? "" : isMeasured ? "its picture was not kept" : "not measured of this photo";
    return pane;
  }

  function captionOf(system) {
    const row = rowOf.get(`${photo().image} ${system}`);
    const caption = make("figcaption");
    const title = make("h2", shortName(system), { class: "name", title: systemName(system) });
    if (system !== ORIGINAL) title.prepend(swatch(data.systems[system]));
    const { width, height } = photo();
    const rate = make("p");
    const figure = (value, unit) => {
      const part = make("span");
      part.append(make("b", value), ` ${unit}`);
      return part;
    };
    if (system === ORIGINAL) rate.append(figure((3 * width * height).toLocaleString("en-US"), "bytes raw,"), " ", make("span", `${width} × ${height}`));
    else if (row) rate.append(figure(row[BYTES].toLocaleString("en-US"), "bytes,"), " ", figure(row[BPP].toFixed(4), "bpp"));
    caption.append(title, rate);
    if (!row) return caption;
    const list = make("dl");
    data.metrics.forEach((metric, place) => {
      if (row[METRICS + place] === null) return;
      const line = make("div");
      line.append(make("dt", metric.heading), make("dd", metricText(row, place)));
      list.append(line);
    });
    caption.append(list, ...[["setting", row[SETTING]], ["note", row[NOTE]]].filter(([, text]) => text)
      .map(([name, text]) => make("small", `${name}: ${text}`)));
    return caption;
  }

  async function fillPane(pane, figure) {
    if (!pane || pane.figure !== figure || pane.isFilled) return;
    pane.isFilled = true;
    pane.state.textContent = "loading …";
    inSight.unobserve(figure);
    try {
      const numbers = [picturesOf(photo()).get(ORIGINAL), pane.number];
      [pane.original.src, pane.picture.src] = await Promise.all(numbers.map(load));
      await Promise.all([pane.original.decode(), pane.picture.decode()]);
      figure.classList.add("ready");
      drawMap(pane);
    } catch (error) {
      loaded.delete(pane.number);
      pane.state.textContent = `this picture cannot be shown: ${error.message}`;
    }
  }

  // Differences and maps, of the panes that are shown.
  async function drawMap(pane) {
    const wanted = { picture: "", difference: `difference ${state.gain}`, ssim: "ssim" }[state.layer];
    const isMap = wanted && pane.system !== ORIGINAL;
    pane.map.hidden = !isMap || pane.drawn !== wanted;
    pane.wanted = isMap ? wanted : "";
    if (!pane.map.hidden || !isMap || !pane.figure.classList.contains("ready")) return;
    pane.map.setAttribute("aria-label", `${state.layer === "ssim" ? "SSIM map" : "difference"} of ${pane.picture.alt}`);
    pane.figure.setAttribute("aria-busy", "true");
    pane.drawn = "";
    const isStale = () => pane.wanted !== wanted || panes.get(pane.system) !== pane;
    try {
      const both = [pixelsOf(pane.original), pixelsOf(pane.picture)];
      const draw_ = state.layer === "ssim" ? drawSsim(pane.map, ...both, isStale) : drawDifference(pane.map, ...both, state.gain, isStale);
      if (!(await draw_)) return;
      pane.drawn = wanted;
      pane.map.hidden = false;
    } catch {
      tell("This browser has no room for a map of so large a picture.");
    }
    pane.figure.removeAttribute("aria-busy");
  }

  // One place for all pictures: custom properties of the stage, from which each takes its transform.
  const frameSize = () => {
    const { width, height } = stage.querySelector(".frame")?.getBoundingClientRect() ?? { width: 1, height: 1 };
    return { width, height };
  };
  // without a fraction where it enlarges: 1.3 pixels for each are ugly
  const fitting = ({ width, height }) => {
    const fit = Math.min(width / photo().width, height / photo().height);
    return fit > 0.995 ? Math.floor(fit + 0.005) : fit;
  };

  function place() {
    const frame = frameSize();
    const fit = fitting(frame);
    if (state.scale !== null && state.scale <= fit * 1.001) state.scale = null;
    const scale = state.scale === null ? fit : Math.min(state.scale, Math.max(MOST, fit));
    if (state.scale !== null) state.scale = scale;
    const along = (middle, size, room) => {
      const half = room / (2 * size * scale);
      return half >= 0.5 ? 0.5 : Math.min(1 - half, Math.max(half, middle));
    };
    state.x = along(state.x, photo().width, frame.width);
    state.y = along(state.y, photo().height, frame.height);
    const left = frame.width / 2 - state.x * photo().width * scale;
    const top = frame.height / 2 - state.y * photo().height * scale;
    const across = (Number(cut.value) / 100) * frame.width;
    const style = {
      "--x": `${left.toFixed(3)}px`, "--y": `${top.toFixed(3)}px`, "--scale": scale.toFixed(6),
      "--width": `${photo().width}px`, "--height": `${photo().height}px`,
      "--cut": `${Math.min(photo().width, Math.max(0, (across - left) / scale)).toFixed(3)}px`,
    };
    for (const [name, value] of Object.entries(style)) stage.style.setProperty(name, value);
    stage.classList.toggle("zoomed", state.scale !== null);
    stage.classList.toggle("enlarged", scale >= 2 || scale === 1);
    const divider = stage.querySelector(".divider");
    if (divider) divider.style.left = `${across}px`;
    cut.setAttribute("aria-valuetext", `${cut.value} % original`);
    const percent = `${(100 * scale).toLocaleString("en-US", { maximumSignificantDigits: 3 })} %`;
    byId("scale").textContent = stage.querySelector(".frame") ? percent : "–";
    byId("fit").setAttribute("aria-pressed", String(state.scale === null));
    byId("exact").setAttribute("aria-pressed", String(scale === 1));
    return { left, top, scale, fit };
  }

  // `at`: what of a frame stays where it is, in pixels; its middle if left out.
  function zoom(factor, at) {
    const frame = frameSize();
    const point = at ?? { x: frame.width / 2, y: frame.height / 2 };
    const before = place();
    const scale = Math.min(Math.max(MOST, before.fit), Math.max(before.fit, before.scale * factor));
    const keep = (middle, begin, size, room) => (room / 2 - (middle - ((middle - begin) * scale) / before.scale)) / (size * scale);
    state.x = keep(point.x, before.left, photo().width, frame.width);
    state.y = keep(point.y, before.top, photo().height, frame.height);
    state.scale = scale;
    place();
    keepLink();
  }

  function step(isLarger) {
    const { scale } = place();
    const level = isLarger ? LEVELS.find((one) => one > 1.001 * scale) : LEVELS.findLast((one) => one < 0.999 * scale);
    if (level !== undefined) zoom(level / scale);
  }

  function move(x, y) {
    const { scale } = place();
    state.x -= x / (photo().width * scale);
    state.y -= y / (photo().height * scale);
    place();
    keepLink();
  }

  function arrange() {
    const count = stage.childElementCount;
    const wide = stage.clientWidth;
    const most = Math.max(1, Math.floor(wide / (wide < 600 ? COLUMN.phone : COLUMN.least)));
    const columns = Math.max(1, Math.ceil(count / Math.ceil(count / Math.min(most, Math.max(1, count)))));
    stage.style.setProperty("--columns", columns);
    // a frame is nearly square where a photo is far from it, and otherwise no larger than what it shows
    const own = photo().width / photo().height;
    const aspect = Math.min(4, Math.max(0.7, own));
    const gaps = (columns - 1) * parseFloat(getComputedStyle(stage).columnGap);
    const room = Math.min((wide - gaps) / columns, 0.78 * window.innerHeight * aspect);
    const widest = aspect === own && room > photo().width ? photo().width * Math.floor(room / photo().width) : room;
    stage.style.setProperty("--aspect", aspect.toFixed(6));
    stage.style.setProperty("--widest", `${widest}px`);
    place();
  }

  // The parts of the page, from the state.
  function showPhoto() {
    panes = new Map();
    inSight.disconnect();
    const kept = new Set(picturesOf(photo()).values());
    loaded = new Map([...loaded].filter(([number_]) => kept.has(number_)));
    choices.photo.value = String(state.photo);
    all("button", byId("strip")).forEach((button, at) => {
      if (at === state.photo) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    });
    const button = all("button", byId("strip"))[state.photo];
    byId("strip").scrollLeft = button.offsetLeft - (byId("strip").clientWidth - button.clientWidth) / 2;
    byId("photo-count").textContent = `${state.photo + 1} / ${photos.length}`;
    byId("previous").disabled = state.photo === 0;
    byId("next").disabled = state.photo === photos.length - 1;
    showPanes();
  }

  function showPanes() {
    const isSlider = state.view === "slider";
    for (const one of all(".of-slider")) one.hidden = !isSlider;
    const rate = ofRate();
    for (const button of all("button", byId("systems"))) {
      const system = Number(button.dataset.system);
      button.parentElement.hidden = system !== ORIGINAL && !rate.includes(system);
      button.querySelector(".name").textContent = shortName(system);
      button.setAttribute("aria-pressed", String(!state.off.has(system)));
    }
    byId("systems").hidden = isSlider;
    byId("every").parentElement.hidden = isSlider || rate.length < MANY;
    choices.compared.replaceChildren(...rate.map((system) => make("option", shortName(system), { value: system })));
    if (!rate.includes(state.compared)) state.compared = rate.find((system) => picturesOf(photo()).has(system)) ?? rate[0];
    choices.compared.value = String(state.compared);
    const wanted = isSlider ? [state.compared] : shown();
    for (const system of wanted) if (!panes.has(system)) panes.set(system, makePane(system));
    stage.replaceChildren(...wanted.map((system) => panes.get(system).figure));
    if (!wanted.length) stage.append(make("p", "No system is chosen.", { class: "note" }));
    if (isSlider) panes.get(state.compared).frame.append(divider);
    else divider.remove();
    for (const view of VIEWS) stage.classList.toggle(view, view === state.view);
    arrange();
    showLayer();
  }

  function showLayer() {
    for (const name of ["view", "layer"]) document.querySelector(`input[name="${name}"][value="${state[name]}"]`).checked = true;
    choices.gain.value = String(state.gain);
    for (const one of all(".of-map")) one.hidden = one.dataset.layer !== state.layer;
    for (const one of all(".pane", stage)) drawMap(panes.get(Number(one.dataset.system)));
    keepLink();
  }

  function holdOriginal(isHeld) {
    stage.classList.toggle("holding", isHeld);
  }

  let flickering = null;
  function flicker(isOn) {
    clearInterval(flickering);
    flickering = isOn ? setInterval(() => holdOriginal(!stage.classList.contains("holding")), FLICKER) : null;
    byId("flicker").setAttribute("aria-pressed", String(isOn));
    holdOriginal(false);
  }

  function goTo(at) {
    if (!photos[at] || at === state.photo) return;
    // the place in the photo is of no use in another; the enlargement is
    Object.assign(state, { photo: at, x: 0.5, y: 0.5 });
    showPhoto();
    tell(`${data.images[photo().image]}, ${at + 1} of ${photos.length}`);
  }

  function tell(text) {
    byId("told").textContent = text;
  }

  // The address says what is shown, by names, so that it holds over another evaluation of the same photos too.
  function link() {
    const parts = new URLSearchParams({ photo: data.images[photo().image] });
    if (data.groups.length > 1) parts.set("rate", choices.rate.value === "" ? "all" : systemName(ofRate()[0]));
    if (state.off.size) for (const system of shown()) parts.append("system", systemName(system));
    if (state.off.size && !shown().length) parts.set("system", "");
    if (state.view === "slider") parts.set("compared", systemName(state.compared));
    if (state.view === "slider") parts.set("cut", cut.value);
    if (state.layer !== "picture") parts.set("layer", state.layer);
    if (state.layer === "difference") parts.set("gain", state.gain);
    if (state.scale !== null) parts.set("zoom", state.scale.toPrecision(4));
    if (state.scale !== null) parts.set("at", `${state.x.toFixed(4)},${state.y.toFixed(4)}`);
    return `#${parts}`;
  }

  let keeping = null;
  function keepLink() {
    clearTimeout(keeping);
    keeping = setTimeout(() => {
      if (location.hash !== link()) history.replaceState(null, "", link());
    }, 150);
  }

  function followLink() {
    const parts = new URLSearchParams(location.hash.slice(1));
    const missing = [];
    const systemOf = (name) => [ORIGINAL, ...places].find((system) => systemName(system) === name) ?? (missing.push(name), null);
    state = initial();
    if (parts.has("photo")) {
      const at = photos.findIndex((one) => data.images[one.image] === parts.get("photo"));
      if (at < 0) missing.push(parts.get("photo"));
      state.photo = Math.max(0, at);
    }
    if (parts.has("rate")) {
      const first = parts.get("rate") === "all" ? null : systemOf(parts.get("rate"));
      const at = data.groups.findIndex((one) => one[0][0] === first);
      choices.rate.value = at < 0 ? "" : String(at);
    }
    if (parts.has("system")) {
      const wanted = parts.getAll("system").filter(Boolean).map(systemOf);
      state.off = new Set([ORIGINAL, ...places].filter((system) => !wanted.includes(system)));
    }
    if (parts.has("compared")) Object.assign(state, { view: "slider", compared: systemOf(parts.get("compared")) });
    if (LAYERS.includes(parts.get("layer"))) state.layer = parts.get("layer");
    if (all("option", choices.gain).some((one) => one.value === parts.get("gain"))) state.gain = Number(parts.get("gain"));
    const share = (text) => (Number(text) >= 0 && Number(text) <= 1 ? Number(text) : 0.5);
    if (Number(parts.get("zoom")) > 0) state.scale = Number(parts.get("zoom"));
    [state.x, state.y] = (parts.get("at") ?? "").split(",").concat("", "").slice(0, 2).map((text) => (text === "" ? 0.5 : share(text)));
    if (Number(parts.get("cut")) >= 0 && parts.get("cut")) cut.value = parts.get("cut");
    byId("link-note").textContent = missing.length ? `The link names what is not here: ${missing.join(", ")}.` : "";
    showPhoto();
  }

  // The divider of the slider.
  const divider = make("div", "", { class: "divider", "aria-hidden": "true" });
  divider.append(make("span", "◂ ▸"));

  function cutAt(clientX) {
    const box = stage.querySelector(".frame").getBoundingClientRect();
    cut.value = String((100 * (clientX - box.left)) / box.width);
    place();
    keepLink();
  }

  // Pointers: one moves, two zoom, one that stays holds the original.
  const pointers = new Map();
  let press = null;
  const within = (frame, { x, y }) => {
    const box = frame.getBoundingClientRect();
    return { x: x - box.left, y: y - box.top };
  };
  const middleOf = (points) => ({
    x: points.reduce((sum, { x }) => sum + x, 0) / points.length, y: points.reduce((sum, { y }) => sum + y, 0) / points.length,
  });
  const apart = ([one, other]) => Math.hypot(one.x - other.x, one.y - other.y);

  function letGo() {
    clearTimeout(press?.timer);
    if (press?.isHeld) holdOriginal(false);
    press = null;
  }

  stage.addEventListener("pointerdown", (event) => {
    const frame = event.target.closest(".frame");
    if (!frame || event.button) return;
    stage.focus({ preventScroll: true });
    event.target.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY, frame, isCut: divider.contains(event.target) });
    letGo();
    if (divider.contains(event.target)) cutAt(event.clientX);
    else if (pointers.size === 1) {
      press = { x: event.clientX, y: event.clientY, isHeld: false };
      press.timer = setTimeout(() => {
        press.isHeld = true;
        holdOriginal(true);
      }, PRESS);
    }
    event.preventDefault();
  });
  stage.addEventListener("pointermove", (event) => {
    const pointer = pointers.get(event.pointerId);
    if (!pointer) return;
    const before = [...pointers.values()].map(({ x, y }) => ({ x, y }));
    const moved = { x: event.clientX - pointer.x, y: event.clientY - pointer.y };
    if (press && Math.hypot(event.clientX - press.x, event.clientY - press.y) <= STILL) return;
    if (press && !press.isHeld) letGo();
    Object.assign(pointer, { x: event.clientX, y: event.clientY });
    if (pointer.isCut) cutAt(event.clientX);
    else if (pointers.size === 1) move(moved.x, moved.y);
    else if (pointers.size === 2) {
      const after = [...pointers.values()];
      const [from, to] = [middleOf(before), middleOf(after)];
      zoom(apart(after) / Math.max(1, apart(before)), within(pointer.frame, from));
      move(to.x - from.x, to.y - from.y);
    }
  });
  for (const name of ["pointerup", "pointercancel"]) {
    stage.addEventListener(name, (event) => {
      pointers.delete(event.pointerId);
      letGo();
    });
  }
  // two fingers are ours, also where the page scrolls with one
  stage.addEventListener("touchstart", (event) => {
    if (event.touches.length > 1 && event.target.closest(".frame")) event.preventDefault();
  }, { passive: false });
  stage.addEventListener("contextmenu", (event) => {
    if (press) event.preventDefault(); // of a long press
  });

  // A wheel that has begun to scroll the page goes on with that, over pictures too; zooming out ends where it fits.
  let scrolled = -LATCH;
  window.addEventListener("wheel", (event) => {
    const frame = event.target.closest?.("#stage .frame");
    const isFitting = state.scale === null && event.deltaY > 0;
    if (!frame || (!event.ctrlKey && (isFitting || event.timeStamp - scrolled < LATCH))) {
      scrolled = event.timeStamp;
      return;
    }
    event.preventDefault();
    const lines = event.deltaMode ? 16 : 1;
    zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.002)), within(frame, { x: event.clientX, y: event.clientY }));
  }, { passive: false });

  let isHeldByKey = false;
  function holdByKey(isHeld) {
    if (isHeld !== isHeldByKey) holdOriginal(isHeld); // a button that takes the focus holds it by itself
    isHeldByKey = isHeld;
  }

  const ARROWS = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const KEYS = {
    "+": () => step(true), "=": () => step(true), "-": () => step(false), _: () => step(false),
    0: () => zoom(0), 1: () => zoom(1 / place().scale),
    o: () => holdByKey(true), n: () => goTo(state.photo + 1), p: () => goTo(state.photo - 1),
  };
  stage.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key];
    const key = KEYS[event.key.toLowerCase()];
    if (arrow && state.scale !== null) move(...arrow.map((sign) => (sign * Math.min(frameSize().width, frameSize().height)) / 8));
    else if (key) key();
    else return;
    event.preventDefault();
  });
  stage.addEventListener("keyup", (event) => {
    if (event.key.toLowerCase() === "o") holdByKey(false);
  });
  stage.addEventListener("blur", () => holdByKey(false));

  // Choices above the pictures.
  function wire() {
    photos.forEach((one, at) => {
      const name = data.images[one.image];
      choices.photo.append(make("option", name, { value: at }));
      const button = make("button", "", { type: "button", title: name });
      button.append(make("img", "", { src: `thumbnails/${String(at).padStart(4, "0")}.webp`, alt: name, loading: "lazy" }));
      button.addEventListener("click", () => goTo(at));
      const item = make("li");
      item.append(button);
      byId("strip").append(item);
    });
    for (const system of [ORIGINAL, ...places]) {
      const button = make("button", "", { type: "button", "data-system": system });
      if (system !== ORIGINAL) {
        button.classList.add(data.systems[system].kind);
        button.append(swatch(data.systems[system]));
      }
      button.append(make("span", systemName(system), { class: "name" }));
      button.addEventListener("click", () => {
        if (!state.off.delete(system)) state.off.add(system);
        showPanes();
      });
      const item = make("li");
      item.append(button);
      byId("systems").append(item);
    }
    const set = (name, value, show) => {
      state[name] = value;
      show();
    };
    choices.photo.addEventListener("change", () => goTo(Number(choices.photo.value)));
    choices.rate.addEventListener("change", showPhoto); // with other names
    choices.compared.addEventListener("change", () => set("compared", Number(choices.compared.value), showPanes));
    choices.gain.addEventListener("change", () => set("gain", Number(choices.gain.value), showLayer));
    for (const one of all('input[name="view"]')) one.addEventListener("change", () => set("view", one.value, showPanes));
    for (const one of all('input[name="layer"]')) one.addEventListener("change", () => set("layer", one.value, showLayer));
    byId("every").addEventListener("click", () => set("off", new Set(), showPanes));
    byId("none").addEventListener("click", () => set("off", new Set(places), showPanes));
    byId("previous").addEventListener("click", () => goTo(state.photo - 1));
    byId("next").addEventListener("click", () => goTo(state.photo + 1));
    byId("larger").addEventListener("click", () => step(true));
    byId("smaller").addEventListener("click", () => step(false));
    byId("fit").addEventListener("click", () => zoom(0));
    byId("exact").addEventListener("click", () => zoom(1 / place().scale));
    byId("flicker").addEventListener("click", () => flicker(flickering === null));
    byId("copy").addEventListener("click", async () => {
      history.replaceState(null, "", link());
      const isCopied = await navigator.clipboard?.writeText(location.href).then(() => true, () => false);
      byId("link-note").textContent = isCopied ? "The link is copied." : "The link is in the address bar: it cannot be copied from here.";
    });
    const hold = byId("hold");
    hold.addEventListener("pointerdown", () => holdOriginal(true));
    for (const name of ["pointerup", "pointerleave", "pointercancel", "keyup", "blur"]) hold.addEventListener(name, () => holdOriginal(false));
    hold.addEventListener("keydown", (event) => {
      if (event.key === " " || event.key === "Enter") holdOriginal(true);
    });
    const everyNumber = byId("every-number");
    const showNumbers = () => stage.classList.toggle("few", !everyNumber.checked);
    everyNumber.addEventListener("change", showNumbers);
    everyNumber.checked = matchMedia("(min-width: 46rem)").matches;
    showNumbers();
    cut.addEventListener("input", () => {
      place();
      keepLink();
    });
    window.addEventListener("hashchange", () => {
      if (location.hash.startsWith("#photo=") && location.hash !== link()) followLink();
    });
    new ResizeObserver(arrange).observe(stage);
  }

  wire();
  followLink();
})();
