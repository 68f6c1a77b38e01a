"use strict";
// What the scripts of all pages know and do alike. Text goes into a page as text alone (textContent), whatever names hold.
const data = JSON.parse(document.getElementById("data").textContent); // of page/data.py
const [SYSTEM, IMAGE, BYTES, BPP, SETTING, NOTE, METRICS] = [0, 1, 2, 3, 4, 5, 6];
const ORIGINAL = -1;
const byId = (id) => document.getElementById(id);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

function make(tag, text = "", attributes = {}) {
  const element = document.createElement(tag);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function draw(tag, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

function swatch(system) {
  const svg = draw("svg", { class: `swatch series-${system.color} ${system.kind}`, viewBox: "-9 -9 18 18", "aria-hidden": "true" });
  svg.append(draw("path", { class: "marker", d: system.marker }));
  return svg;
}

const number = (value, digits) => (value === null ? "" : value.toFixed(digits).replace("-", "−"));
const metricText = (row, place) => number(row[METRICS + place], data.metrics[place].digits);
const systemName = (place) => (place === ORIGINAL ? "original" : data.systems[place].name);
