"use strict";
// A session: trials come once with the code; an answer counts when the server has said so, and is sent until it has.

const PEEK_AFTER = 300; // ms: a shorter press is a choice, also of an unhurried finger
const RETRY_AFTER = 1500;
const GAP = 12; // CSS pixels between pictures
const at = (id) => document.getElementById(id);
const sections = ["welcome", "trial", "done"].map(at);

const state = { session: null, number: 0, choice: null, looks: 0, shownAt: 0, layout: "two", sending: false };

function show(section) {
  for (const one of sections) one.hidden = one !== section;
  window.scrollTo(0, 0);
}

// ---- talking to the server

function screenFacts() {
  return {
    screen_width: screen.width,
    screen_height: screen.height,
    window_width: Math.round(window.innerWidth),
    window_height: Math.round(window.innerHeight),
    pixel_ratio: window.devicePixelRatio,
    touch: matchMedia("(pointer: coarse)").matches,
  };
}

async function post(address, body) {
  const answer = await fetch(address, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  const content = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(content.detail), { status: answer.status });
  return content;
}

const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// What the server refused is told to the caller; what did not reach it is sent again.
async function postUntilHeard(address, body, notice) {
  for (;;) {
    try {
      const content = await post(address, body);
      notice.textContent = "";
      return content;
    } catch (error) {
      if (error.status && error.status < 500) throw error;
      notice.textContent = "No connection to the study. Nothing is lost: it is tried again by itself.";
      await pause(RETRY_AFTER);
    }
  }
}

// ---- beginning and going on

const hyphened = (code) => `${code.slice(0, 5)}-${code.slice(5)}`;

async function enter(address, focus) {
  at("begin").disabled = true;
  try {
    state.session = await postUntilHeard(address, screenFacts(), at("refused"));
  } catch (error) {
    at("refused").textContent = error.status === 404 ? "Nobody has this code. Is it spelled right?" : error.message;
    return show(at("welcome"));
  } finally {
    at("begin").disabled = false;
  }
  const code = hyphened(state.session.code);
  history.replaceState(null, "", `?code=${code}`);
  at("own-code").textContent = at("done-code").textContent = code;
  state.number = state.session.answered;
  await next();
}

const resume = (code) => enter(`sessions/${encodeURIComponent(code.replace(/[^A-Za-z0-9]/g, ""))}`);

// ---- one trial

async function next() {
  const { trials } = state.session;
  if (state.number >= trials.length) {
    at("total").textContent = trials.length;
    show(at("done"));
    return at("thanks").focus();
  }
  const trial = trials[state.number];
  look(false);
  choose(null);
  show(at("trial"));
  at("trial").classList.add("loading");
  at("count").textContent = `${state.number + 1} of ${trials.length}`;
  at("bar").max = trials.length;
  at("bar").value = state.number;
  await Promise.all([
    load(at("picture-a"), trial.a),
    load(at("picture-b"), trial.b),
    ...["under-a", "under-b", "picture-original"].map((id) => load(at(id), trial.original)),
  ]);
  place();
  at("trial").classList.remove("loading");
  Object.assign(state, { looks: 0, shownAt: performance.now() });
  at("question").focus({ preventScroll: true });
  at("told").textContent = `Trial ${state.number + 1} of ${trials.length}`;
  prefetch(trials[state.number + 1]);
}

// Until it is there and decoded: all pictures of a trial appear together.
async function load(image, id) {
  const address = `pictures/${id}.png`;
  if (image.getAttribute("src") === address && image.complete && image.naturalWidth) return;
  for (;;) {
    image.src = address;
    try {
      await image.decode();
      at("trouble").textContent = "";
      return;
    } catch {
      at("trouble").textContent = "No connection to the study. Nothing is lost: it is tried again by itself.";
      await pause(RETRY_AFTER);
      image.removeAttribute("src");
    }
  }
}

function prefetch(trial) {
  if (trial) for (const id of [trial.original, trial.a, trial.b]) new Image().src = `pictures/${id}.png`;
}

// One pixel of a picture to one of the screen: sizes and places are whole numbers of device pixels.
function place() {
  if (!state.session || at("trial").hidden) return;
  const { width, height } = state.session.trials[state.number];
  const ratio = window.devicePixelRatio;
  const stage = at("stage");
  const room = Math.floor(stage.clientWidth * ratio);
  const gap = Math.round(GAP * ratio);
  const margin = Math.round(6 * ratio);
  const small = Math.round(4 * ratio);
  const label = Math.round(32 * ratio);
  const fits = (count, space) => count * width + (count - 1) * space <= room;
  state.layout = fits(3, gap) ? "three" : fits(2, small) ? "two" : "stacked";
  const between = state.layout === "two" && !fits(2, gap + 2 * margin) ? small : gap;
  const shown = { three: ["a", "original", "b"], two: ["a", "b"], stacked: ["a", "b"] }[state.layout];
  const stacked = state.layout === "stacked";
  stage.style.height = `${((stacked ? 2 : 1) * (height + label + margin) + margin) / ratio}px`;
  // The stage itself is moved to a whole device pixel: what lies in it is placed from there.
  Object.assign(stage.style, { left: "0", top: "0" });
  const box = stage.getBoundingClientRect();
  const toWhole = (edge) => `${(Math.ceil(edge * ratio) - edge * ratio) / ratio}px`;
  Object.assign(stage.style, { left: toWhole(box.left), top: toWhole(box.top + window.scrollY) });
  const across = stacked ? width : shown.length * width + (shown.length - 1) * between;
  const start = Math.max(0, Math.floor((room - across) / 2));
  at("figure-original").hidden = at("label-original").hidden = !shown.includes("original");
  shown.forEach((name, number) => {
    const x = start + (stacked ? 0 : number * (width + between));
    const y = margin + (stacked ? number * (height + label + margin) : 0);
    Object.assign(at(`figure-${name}`).style, {
      left: `${x / ratio}px`, top: `${y / ratio}px`, width: `${width / ratio}px`, height: `${height / ratio}px`,
    });
    Object.assign(at(`label-${name}`).style, {
      left: `${(x + width / 2) / ratio}px`, top: `${(y + height + 2 * small) / ratio}px`,
    });
  });
}

function choose(side) {
  if (state.sending) return;
  state.choice = side;
  for (const one of ["a", "b"]) {
    at(`choose-${one}`).setAttribute("aria-pressed", String(one === side));
    at(`figure-${one}`).classList.toggle("chosen", one === side);
  }
  at("confirm").disabled = side === null;
}

function look(on) {
  const stage = at("stage");
  if (on === stage.classList.contains("looking")) return;
  stage.classList.toggle("looking", on);
  at("look").setAttribute("aria-pressed", String(on));
  for (const side of ["a", "b"]) at(`label-${side}`).textContent = on ? "original" : side.toUpperCase();
  at("told").textContent = on ? "The original is shown in place of both" : "";
  if (on) state.looks += 1;
}

async function confirm() {
  if (state.choice === null || state.sending) return;
  const vote = {
    trial: state.number,
    side: state.choice,
    milliseconds: Math.round(performance.now() - state.shownAt),
    looks: state.looks,
    layout: state.layout,
    pixel_ratio: window.devicePixelRatio,
  };
  state.sending = true;
  at("confirm").disabled = true;
  let problem = null;
  try {
    state.number = (await postUntilHeard(`sessions/${state.session.code}/votes`, vote, at("trouble"))).answered;
  } catch (error) {
    problem = error;
  }
  state.sending = false;
  if (problem === null) return next();
  // Answered in another window: the server knows where this session is.
  if (problem.status === 409) return resume(state.session.code);
  at("trouble").textContent = problem.message;
  choose(state.choice);
}

// ---- keyboard, pointer, touch

const judging = () => !at("trial").hidden && !at("trial").classList.contains("loading");

document.addEventListener("keydown", (event) => {
  if (!judging() || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "ArrowLeft") choose("a");
  else if (event.key === "ArrowRight") choose("b");
  else if (event.key === " ") {
    if (!event.repeat) look(true);
  } else if (event.key === "Enter" && document.activeElement !== at("look")) {
    // An Enter that is kept down answers one trial.
    if (!event.repeat) confirm();
  } else return;
  event.preventDefault();
});
document.addEventListener("keyup", (event) => {
  if (event.key !== " " || at("trial").hidden) return;
  look(false);
  event.preventDefault();
});
window.addEventListener("blur", () => look(false));

// A press on a picture: short, it is chosen; longer, the original is seen as long as it lasts.
const press = { timer: 0, looked: false };
function pressed(event) {
  if (event.button !== 0 || !judging()) return;
  press.looked = false;
  clearTimeout(press.timer);
  press.timer = setTimeout(() => {
    press.looked = true;
    look(true);
  }, PEEK_AFTER);
}
function released() {
  clearTimeout(press.timer);
  if (press.looked) look(false);
}
for (const side of ["a", "b"]) {
  const figure = at(`figure-${side}`);
  figure.addEventListener("pointerdown", pressed);
  figure.addEventListener("click", () => {
    if (!press.looked && judging()) choose(side);
  });
  at(`choose-${side}`).addEventListener("click", () => judging() && choose(side));
}
for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, released);
at("stage").addEventListener("contextmenu", (event) => event.preventDefault());

const button = at("look");
button.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !judging()) return;
  press.looked = true;
  look(true);
});
button.addEventListener("contextmenu", (event) => event.preventDefault());
// By a key or a reader's command, which cannot be held: on, and off again.
button.addEventListener("click", (event) => {
  if (event.detail === 0 && judging()) look(!at("stage").classList.contains("looking"));
});
at("confirm").addEventListener("click", confirm);

at("begin").addEventListener("click", () => enter("sessions"));
at("resume").addEventListener("submit", (event) => {
  event.preventDefault();
  resume(at("code").value);
});
window.addEventListener("resize", place);
// Another zoom, or another screen.
function watchRatio() {
  matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`).addEventListener("change", () => {
    place();
    watchRatio();
  }, { once: true });
}
watchRatio();

const known = new URLSearchParams(location.search).get("code");
if (known) resume(known);
else show(at("welcome"));
