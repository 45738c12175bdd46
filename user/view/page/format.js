/* SPDX-License-Identifier: MIT */
/* Times, numbers and texts as people read them. All of it becomes text of the page, and never part of it. */

function amount(value) {
  for (const [size, name] of [[1e9, " G"], [1e6, " M"], [1e3, " k"]])
    if (value >= size) return (value / size).toFixed(1) + name;
  return String(value);
}

/* "12 345 678" */
function grouped(value) {
  return String(value).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
}

/* Four digits or so. */
function duration(ns) {
  if (ns < 1e3) return Math.round(ns) + " ns";
  if (ns < 1e6) return (ns / 1e3).toPrecision(4) + " \u00b5s";
  if (ns < 1e9) return (ns / 1e6).toPrecision(4) + " ms";
  if (ns < 1e12) return (ns / 1e9).toPrecision(4) + " s";
  return (ns / 1e9).toFixed(0) + " s";
}

/* To the last nanosecond. */
function exactDuration(ns) {
  return ns < 1e3 ? ns + " ns" : `${duration(ns)} (${grouped(ns)} ns)`;
}

/* Seconds since the begin of the recording, with so many digits, as `adatrace dump` has them; `offset` in ns from the begin of the page. */
function seconds(begin, offset, digits = 9) {
  const ns = begin + BigInt(Math.round(offset)), positive = ns < 0n ? -ns : ns;
  const whole = positive / 1000000000n, part = String(positive % 1000000000n).padStart(9, "0").slice(0, digits);
  return (ns < 0n ? "-" : "") + whole + (digits ? "." + part : "");
}

/* The time of day, as UTC, with nanoseconds. */
function timeOfDay(realtime, offset) {
  const ns = realtime + BigInt(Math.round(offset));
  const text = new Date(Number(ns / 1000000n)).toISOString();
  return text.slice(0, 10) + " " + text.slice(11, 19) + "." + String(ns % 1000000000n).padStart(9, "0") + " UTC";
}

const looksLikeAddress = value => value >> 40n !== 0n && value >> 47n === 0n;

/* An argument, as `adatrace dump` writes it: signed for results and counters, addresses in hexadecimal. */
function argument(value, signed) {
  if (signed) return String(BigInt.asIntN(64, value));
  return looksLikeAddress(value) ? "0x" + value.toString(16) : String(value);
}

/* Fields of an event: name and value pairs, between the separators of ASCII. */
function fields(text) {
  return text ? text.split("\x1e").map(pair => pair.split("\x1f")) : [];
}

/* Names of functions of C++ are long; their end tells less than their begin. */
function fit(text, characters) {
  if (text.length <= characters) return text;
  return characters < 3 ? "" : text.slice(0, characters - 1) + "\u2026";
}

/* An element with text, and others within it. */
function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "on") for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    else if (name === "data") Object.assign(made.dataset, value);
    else if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}
