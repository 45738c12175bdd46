/* SPDX-License-Identifier: MIT */
/* The timeline: where threads and their rows stand, what of them is drawn, and what is under the mouse. */

const LABELS = 210;       // px: names of threads
const RULER = 24;
const SPAN = 16, BAND = 8, STRIP = 13, COUNTER = 38, PROCESS = 22, PAD = 5, LEAST = 34;
const NARROW = 26;        // px: no text in what is narrower
const CHARACTER = 6.1;    // px, about, of the font for spans
const ARROWS_MAX = 150;   // wakeups that are drawn at a time
const RANGE_LEAST = 20;   // ns: nothing is shorter than that on the whole width
const COLLAPSED = 3;      // rows of spans of a thread that is folded
const FOLD_FROM = 1600;   // px: all threads are folded at first if they would be higher together

let theme = {};

function readTheme() {
  const style = getComputedStyle(document.documentElement), value = name => style.getPropertyValue(name).trim();
  theme = {names: []};
  for (const name of ["back", "text", "soft", "line", "panel", "stripe", "accent", "select", "bad", "mark", "running", "runnable",
    "preempted", "sleeping", "blocked", "wait", "idle", "arrow"]) theme[name] = value("--" + name);
  theme.light = value("--shade") === "1";
  const tile = new OffscreenCanvas(6, 6), context = tile.getContext("2d");
  context.strokeStyle = theme.bad;
  context.lineWidth = 1.2;
  for (const x of [-6, 0, 6]) {
    context.moveTo(x, 6);
    context.lineTo(x + 6, 0);
  }
  context.stroke();
  theme.hatch = tile;
}

/* Cool colours, the same for a name on every page; warm ones are for waits. */
function nameColor(number, text) {
  if (!theme.names[number]) {
    let hash = 2166136261;
    for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 16777619) >>> 0;
    const hue = 150 + hash % 150, shift = (hash >>> 8) % 9;
    theme.names[number] = theme.light ? `hsl(${hue} 48% ${76 + shift}%)` : `hsl(${hue} 34% ${27 + shift}%)`;
  }
  return theme.names[number];
}

class Timeline {
  constructor(canvas, scroll, spacer, model) {
    Object.assign(this, {canvas, scroll, spacer, model});
    this.context = canvas.getContext("2d");
    this.from = 0;
    this.to = Math.max(model.duration, RANGE_LEAST);
    this.limit = this.to;
    this.folded = new Set();
    this.order = "start";
    this.selected = null; // {track, row, i}
    this.range = null;    // {from, to}
    this.found = null;    // Uint8Array: names that are searched for
    this.arrow = null;    // of the selected item: who let it go on
    this.onDrawn = () => {};
    this.arrange();
    if (this.height > FOLD_FROM) this.foldAll();
  }

  /* ---- where things stand ------------------------------------------------------------------------ */

  ordered(tracks) {
    const {model} = this, sums = track => model.sums(track);
    const by = {
      start: (a, b) => sums(a).start - sums(b).start || a.tid - b.tid,
      waited: (a, b) => sums(b).waited - sums(a).waited,
      busy: (a, b) => sums(b).busy + sums(b).ran - sums(a).busy - sums(a).ran,
      lost: (a, b) => b.lost - a.lost,
      name: (a, b) => a.name.localeCompare(b.name) || a.tid - b.tid,
    };
    return tracks.slice().sort(by[this.order]);
  }

  /* Lines from the top: processes, their counters, their threads with the place of each row. */
  arrange() {
    this.lines = [];
    this.tracks = [];
    let y = 0;
    const add = (line, height) => {
      this.lines.push({...line, y, height});
      y += height;
    };
    if (this.model.marks.length) add({kind: "marks", rows: this.model.marks}, STRIP + 2 * PAD);
    for (const process of this.model.processes) {
      const tracks = this.ordered(process.tracks.filter(track => this.model.rowsOf(track).length));
      if (!tracks.length && !process.counters.length) continue;
      add({kind: "process", process}, PROCESS);
      for (const row of process.counters) add({kind: "counter", process, row}, COUNTER);
      for (const track of tracks) {
        this.tracks.push(track);
        add({kind: "track", track}, this.place(track));
      }
    }
    this.height = y;
    this.resize();
  }

  /* Sets where each row of a track stands in it; its height. */
  place(track) {
    let y = PAD;
    track.places = [];
    const put = (row, height) => {
      track.places.push({row, y, height});
      y += height;
    };
    for (const row of track.rows.sched.slice(0, 1)) put(row, BAND);
    if (track.rows.sched.length) y += 2;
    const single = [...track.rows.instant.slice(0, 1), ...track.rows.mark.slice(0, 1)];
    for (const row of single) track.places.push({row, y, height: STRIP});
    if (single.length) y += STRIP;
    for (const kind of ["span", "call"]) {
      const rows = this.folded.has(track) ? track.rows[kind].slice(0, COLLAPSED) : track.rows[kind];
      for (const row of rows) put(row, SPAN);
    }
    return Math.max(y + PAD, LEAST);
  }

  resize() {
    const ratio = devicePixelRatio, width = this.scroll.clientWidth, height = this.scroll.clientHeight;
    this.width = width;
    this.viewHeight = height;
    this.canvas.style.width = width + "px";
    this.canvas.style.height = height + "px";
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.spacer.style.height = Math.max(this.height + RULER + 8, height) + "px";
    this.redraw();
  }

  get plot() { return Math.max(this.width - LABELS, 50); }
  get nsPerPixel() { return (this.to - this.from) / this.plot; }
  xOf(time) { return LABELS + (time - this.from) / this.nsPerPixel; }
  timeAt(x) { return this.from + (x - LABELS) * this.nsPerPixel; }

  show(from, to) {
    let length = Math.min(Math.max(to - from, RANGE_LEAST), this.limit);
    from = Math.min(Math.max(from - (length - (to - from)) / 2, 0), this.limit - length);
    this.from = from;
    this.to = from + length;
    this.redraw();
  }

  zoom(factor, x = LABELS + this.plot / 2) {
    const at = this.timeAt(x);
    this.show(at - (at - this.from) * factor, at + (this.to - at) * factor);
  }

  pan(part) {
    const step = (this.to - this.from) * part, from = Math.min(Math.max(this.from + step, 0), this.limit - (this.to - this.from));
    this.show(from, from + this.to - this.from);
  }

  /* Makes an item visible, with room around it. */
  reveal(item, zoom) {
    const level = item.row.exact, start = Math.max(level.start[item.i], 0), end = level.end[item.i], length = end - start;
    if (zoom || start < this.from || end > this.to) {
      const wanted = zoom ? Math.max(length * 1.6, RANGE_LEAST) : Math.max(this.to - this.from, length * 1.6);
      this.show((start + end) / 2 - wanted / 2, (start + end) / 2 + wanted / 2);
    }
    this.revealRow(item.track, item.row);
  }

  revealRow(track, row) {
    const find = () => track.places && track.places.find(place => place.row === row);
    if (row && !find() && this.folded.delete(track)) this.arrange();
    const line = this.lines.find(other => other.track === track), place = row && find();
    if (!line) return;
    const top = line.y + (place ? place.y : 0), bottom = top + (place ? place.height : line.height);
    if (top < this.scroll.scrollTop + 4) this.scroll.scrollTop = Math.max(top - 40, 0);
    else if (bottom > this.scroll.scrollTop + this.viewHeight - RULER - 8)
      this.scroll.scrollTop = bottom - this.viewHeight + RULER + 40;
    this.redraw();
  }

  fold(track) {
    if (!this.folded.delete(track)) this.folded.add(track);
    this.arrange();
  }

  foldAll() {
    const all = this.tracks.every(track => this.folded.has(track));
    this.folded = new Set(all ? [] : this.tracks);
    this.arrange();
  }

  /* ---- what is under the mouse ------------------------------------------------------------------- */

  lineAt(y) {
    const at = y - RULER + this.scroll.scrollTop;
    return y < RULER ? null : this.lines.find(line => at >= line.y && at < line.y + line.height);
  }

  /* The exact item at a place, or the nearest within some pixels: {track, row, i}. */
  itemAt(x, y) {
    const line = this.lineAt(y), within = line && y - RULER + this.scroll.scrollTop - line.y;
    if (!line || x < LABELS) return null;
    if (line.kind === "counter") return this.valueAt(line, x);
    const places = line.kind === "track" ? line.track.places :
      line.kind === "marks" ? line.rows.map(row => ({row, y: 0, height: line.height})) : [];
    let best = null, distance = 5 * this.nsPerPixel;
    for (const {row, y: top, height} of places) {
      if (within < top || within >= top + height) continue;
      const level = row.exact, time = this.timeAt(x);
      for (let i = level.findFrom(time - distance); i < level.count && level.start[i] <= time + distance; i++) {
        const away = time < level.start[i] ? level.start[i] - time : time > level.end[i] ? time - level.end[i] : 0;
        if (away < distance || away === 0) {
          best = {track: line.track || null, row, i};
          distance = away;
          if (away === 0 && level.end[i] > level.start[i]) break;
        }
      }
    }
    return best;
  }

  valueAt(line, x) {
    const i = line.row.exact.findBefore(this.timeAt(x) + 2 * this.nsPerPixel);
    return i < 0 ? null : {track: null, process: line.process, row: line.row, i};
  }

  /* The middle of an item on the screen, or null if it is not there. */
  middleOf(item) {
    const line = this.lines.find(other => item.track ? other.track === item.track : other.row === item.row || other.rows && other.rows.includes(item.row));
    const place = line && (item.track ? line.track.places.find(other => other.row === item.row) : {y: 0, height: line.height});
    if (!place) return null;
    const level = item.row.exact, start = Math.max(level.start[item.i], this.from), end = Math.min(level.end[item.i], this.to);
    return {x: this.xOf((start + end) / 2), y: RULER + line.y + place.y + place.height / 2 - this.scroll.scrollTop};
  }

  /* ---- drawing ----------------------------------------------------------------------------------- */

  redraw() {
    if (this.pending) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.draw();
    });
  }

  draw() {
    const {context} = this, ratio = devicePixelRatio, begun = performance.now();
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = theme.back;
    context.fillRect(0, 0, this.width, this.viewHeight);
    context.textBaseline = "middle";
    const top = this.scroll.scrollTop - RULER;
    this.visible = this.lines.filter(line => line.y + line.height > top && line.y < top + this.viewHeight);
    this.hatch = context.createPattern(theme.hatch, "repeat");
    this.drawGrid();
    for (const line of this.visible) this.drawLine(line, line.y - top);
    this.drawArrows(top);
    this.drawRange();
    this.drawSelected(top);
    this.drawRuler();
    if (!this.lines.length) this.drawNothing();
    this.drawTook = performance.now() - begun;
    this.onDrawn();
  }

  drawNothing() {
    const {context} = this;
    context.fillStyle = theme.soft;
    context.font = "15px system-ui, sans-serif";
    context.textAlign = "center";
    context.fillText("Nothing was recorded here.", this.width / 2, this.viewHeight / 2);
    context.textAlign = "left";
  }

  drawLine(line, y) {
    const {context} = this;
    if (line.kind === "process") {
      context.fillStyle = theme.panel;
      context.fillRect(0, y, this.width, line.height);
      context.fillStyle = theme.text;
      context.font = "600 12px system-ui, sans-serif";
      const {pid, command, program} = line.process;
      context.fillText(fit(`${pid}  ${(command || program).replace(/^kernel:/, "")}`, this.width / 7 | 0), 10, y + line.height / 2);
    } else {
      if (line.kind === "counter") this.drawCounter(line, y);
      else if (line.kind === "marks") for (const row of line.rows) this.drawMarks(row, y + PAD, STRIP);
      else this.drawTrack(line, y);
      this.drawLabel(line, y);
    }
    context.fillStyle = theme.line;
    context.fillRect(0, y + line.height - 1, this.width, 1);
  }

  drawLabel(line, y) {
    const {context} = this;
    context.fillStyle = theme.back;
    context.fillRect(0, y, LABELS, line.height);
    context.fillStyle = theme.line;
    context.fillRect(LABELS - 1, y, 1, line.height);
    context.fillStyle = theme.text;
    context.font = "12px system-ui, sans-serif";
    if (line.kind === "marks") return context.fillText("marks", 10, y + line.height / 2);
    if (line.kind === "counter") return context.fillText(fit(this.model.names[line.row.depth], 28), 10, y + 12);
    const {track} = line, hidden = this.folded.has(track);
    const deep = track.rows.span.length > COLLAPSED || track.rows.call.length > COLLAPSED;
    context.fillText((deep ? hidden ? "\u25b8 " : "\u25be " : "") + fit(track.name || "thread", 22), 10, y + 11);
    context.fillStyle = theme.soft;
    context.font = "11px system-ui, sans-serif";
    context.fillText(`${track.pid}/${track.tid}`, 10, y + 25);
    if (track.lost) {
      context.fillStyle = theme.bad;
      context.textAlign = "right";
      context.fillText(`${amount(track.lost)} lost`, LABELS - 8, y + 25);
      context.textAlign = "left";
    }
  }

  drawTrack({track}, y) {
    const {context} = this;
    context.save();
    context.beginPath();
    context.rect(LABELS, y, this.plot, this.viewHeight);
    context.clip();
    const line = this.lines.find(other => other.track === track);
    for (const place of track.places) {
      if (y + place.y > this.viewHeight || y + place.y + place.height < 0) continue;
      if (place.row.kind === "sched") this.drawStates(place.row, y + place.y, place.height);
      else if (place.row.kind === "mark") this.drawMarks(place.row, y + place.y, place.height);
      else if (place.row.kind === "instant") this.drawInstants(place.row, y + place.y, place.height);
      else this.drawSpans(place.row, y + place.y, place.height);
    }
    for (const row of track.rows.lost) this.drawLosses(row, y, line.height);
    context.restore();
  }

  /* Calls `paint` for what is visible of a row, as coarse as it may be, with its place; what would be in the same pixel is left out. */
  each(row, least, paint) {
    const level = row.levelFor(this.nsPerPixel), {from, to} = this;
    let last = -1;
    for (let i = level.findFrom(from); i < level.count && level.start[i] <= to; i++) {
      const left = Math.max(this.xOf(level.start[i]), LABELS - 2), right = Math.min(this.xOf(level.end[i]), this.width + 2);
      const width = Math.max(right - left, least);
      if (left + width - last < 0.5) continue;
      paint(level, i, left, width);
      last = left + width;
    }
  }

  /* Long enough that somebody waited, and not only a line among many: of several, on the average. */
  isWait(level, i, width) {
    if (this.model.kindOf[level.name[i]] !== WAIT) return false;
    const length = level.busyOf(i) / level.countOf(i);
    return length >= WAIT_LEAST && width > 2 || length >= WAIT_LONG;
  }

  spanColor(level, i, width) {
    const name = level.name[i];
    if (this.isWait(level, i, width)) return theme.wait;
    return this.model.kindOf[name] === IDLE ? theme.idle : nameColor(name, this.model.names[name]);
  }

  drawSpans(row, y, height) {
    const {context, found, model} = this;
    context.font = "11px system-ui, sans-serif";
    this.each(row, 1, (level, i, left, width) => {
      const length = level.end[i] - level.start[i], several = level.countOf(i) > 1;
      const match = found && found[level.name[i]];
      context.globalAlpha = (found && !match ? 0.3 : 1) * (several ? 0.4 + 0.6 * (length ? level.busyOf(i) / length : 1) : 1);
      context.fillStyle = this.spanColor(level, i, width);
      context.fillRect(left, y, width > 2 ? width - 0.5 : width, height - 1);
      if (match) {
        context.fillStyle = theme.accent;
        context.fillRect(left, y + height - 3, width, 2);
      }
      if (width < NARROW) return;
      if (level.flagsOf(i) & (OPEN_END | UNSURE)) this.drawOpenEnd(left + width, y, height);
      const wait = this.isWait(level, i, width);
      context.fillStyle = wait ? "#fff" : theme.text;
      const text = (several ? `${amount(level.countOf(i))} \u00d7 ` : "") + model.names[level.name[i]] + (wait ? " " + duration(length) : "");
      context.fillText(fit(text, (width - 6) / CHARACTER | 0), left + 3, y + height / 2);
    });
    context.globalAlpha = 1;
  }

  drawOpenEnd(right, y, height) {
    const {context} = this;
    context.fillStyle = theme.bad;
    for (let k = 0; k < height - 1; k += 4) context.fillRect(right - 2, y + k, 2, 2);
  }

  drawStates(row, y, height) {
    const {context, model} = this;
    this.each(row, 0.7, (level, i, left, width) => {
      const state = model.names[level.name[i]], thin = state === "sleeping";
      context.fillStyle = theme[state] || theme.soft;
      context.fillRect(left, thin ? y + height / 2 - 1 : y, width, thin ? 2 : height);
    });
  }

  drawInstants(row, y, height) {
    const {context, found} = this;
    this.each(row, 1, (level, i, left, width) => {
      const match = found && found[level.name[i]];
      context.globalAlpha = found && !match ? 0.25 : 1;
      context.fillStyle = match ? theme.accent : theme.soft;
      if (level.countOf(i) > 1) {
        context.globalAlpha *= 0.6;
        context.fillRect(left, y + height - 6, Math.max(width, 2), 4);
      } else {
        context.fillRect(left - 0.5, y + 2, 1, height - 3);
        context.beginPath();
        context.arc(left, y + height - 4, match ? 3 : 2.2, 0, 7);
        context.fill();
      }
    });
    context.globalAlpha = 1;
  }

  drawMarks(row, y, height) {
    const {context, model} = this;
    context.font = "11px system-ui, sans-serif";
    let free = -1;
    this.each(row, 1, (level, i, left) => {
      context.fillStyle = theme.mark;
      context.beginPath();
      context.moveTo(left, y + height);
      context.lineTo(left, y);
      context.lineTo(left + 8, y + 3.5);
      context.lineTo(left, y + 7);
      context.fill();
      context.fillRect(left - 0.5, y, 1.5, height);
      const text = model.names[level.name[i]];
      if (left > free) {
        context.fillText(fit(text, 40), left + 11, y + 6);
        free = left + 20 + Math.min(text.length, 40) * CHARACTER;
      }
    });
  }

  drawLosses(row, y, height) {
    const {context} = this;
    this.each(row, 2, (level, i, left, width) => {
      context.fillStyle = this.hatch;
      context.globalAlpha = 0.75;
      context.fillRect(left, y + 1, width, height - 2);
      context.globalAlpha = 1;
      context.fillStyle = theme.bad;
      context.fillRect(left, y, width, 2);
    });
  }

  drawCounter({row}, y) {
    const {context} = this, levels = row.exact;
    const signed = (wide, i) => wide ? (wide.high[i] | 0) * 4294967296 + wide.low[i] : 0;
    let low = 0, high = 0;
    if (row.low === undefined) {
      for (let i = 0; i < levels.count; i++) {
        low = Math.min(low, signed(levels.first, i));
        high = Math.max(high, signed(levels.second, i));
      }
      Object.assign(row, {low, high});
    }
    ({low, high} = row);
    const room = COUNTER - 8, yOf = value => y + 4 + room * (1 - (value - low) / (high - low || 1));
    const level = row.levelFor(this.nsPerPixel);
    context.save();
    context.beginPath();
    context.rect(LABELS, y, this.plot, COUNTER);
    context.clip();
    context.fillStyle = theme.select;
    context.strokeStyle = theme.accent;
    context.lineWidth = 1;
    context.beginPath();
    const first = Math.max(level.findBefore(this.from), 0);
    for (let i = first; i < level.count && level.start[i] <= this.to; i++) {
      const left = this.xOf(level.start[i]), right = this.xOf(i + 1 < level.count ? level.start[i + 1] : this.limit);
      const lowest = yOf(signed(level.first, i)), highest = yOf(signed(level.second, i));
      context.fillRect(left, highest, Math.max(right - left, 1), yOf(0) - highest);
      if (i === first) context.moveTo(left, lowest);
      context.lineTo(left, lowest);
      context.lineTo(left, highest);
      context.lineTo(Math.max(right, left), highest);
    }
    context.stroke();
    context.fillStyle = theme.soft;
    context.font = "10px system-ui, sans-serif";
    context.fillText(grouped(high), LABELS + 4, y + 9);
    if (low !== high) context.fillText(grouped(low), LABELS + 4, y + COUNTER - 8);
    context.restore();
  }

  /* ---- the frame around -------------------------------------------------------------------------- */

  ticks() {
    const least = this.nsPerPixel * 110;
    let step = 1;
    while (step * 5 < least) step *= 10;
    step = [1, 2, 5, 10].map(factor => factor * step).find(value => value >= least) || step * 10;
    const begin = Number(this.model.begin % BigInt(step)), found = [];
    for (let time = Math.ceil((this.from + begin) / step) * step - begin; time <= this.to; time += step) found.push(time);
    return {found, digits: Math.min(9, Math.max(0, 9 - Math.floor(Math.log10(step) + 1e-9)))};
  }

  drawGrid() {
    const {context} = this;
    context.fillStyle = theme.line;
    for (const time of this.ticks().found) context.fillRect(Math.round(this.xOf(time)), RULER, 1, this.viewHeight);
  }

  drawRuler() {
    const {context} = this, {found, digits} = this.ticks();
    context.fillStyle = theme.panel;
    context.fillRect(0, 0, this.width, RULER);
    context.fillStyle = theme.line;
    context.fillRect(0, RULER - 1, this.width, 1);
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = theme.soft;
    context.fillText("seconds since the start", 10, RULER / 2);
    context.save();
    context.beginPath();
    context.rect(LABELS, 0, this.plot, RULER);
    context.clip();
    for (const time of found) {
      const x = Math.round(this.xOf(time));
      context.fillStyle = theme.line;
      context.fillRect(x, 0, 1, RULER);
      context.fillStyle = theme.text;
      context.fillText(seconds(this.model.begin, time, digits), x + 4, RULER / 2);
    }
    context.restore();
  }

  drawRange() {
    if (!this.range) return;
    const {context} = this, left = Math.max(this.xOf(this.range.from), LABELS), right = Math.min(this.xOf(this.range.to), this.width);
    if (right < left) return;
    context.fillStyle = theme.select;
    context.fillRect(left, RULER, right - left, this.viewHeight);
    context.fillStyle = theme.accent;
    context.fillRect(left, RULER, 1, this.viewHeight);
    context.fillRect(right - 1, RULER, 1, this.viewHeight);
  }

  drawSelected(top) {
    const item = this.selected;
    if (!item || !item.track) return;
    const line = this.visible.find(other => other.track === item.track), place = line && item.track.places.find(other => other.row === item.row);
    if (!place) return;
    const {context} = this, level = item.row.exact;
    const left = Math.max(this.xOf(level.start[item.i]), LABELS), right = Math.min(this.xOf(level.end[item.i]), this.width);
    if (right < LABELS || left > this.width) return;
    context.strokeStyle = theme.text;
    context.lineWidth = 2;
    context.strokeRect(left - 1, line.y - top + place.y - 0.5, Math.max(right - left, 2) + 2, place.height);
  }

  /* ---- who woke whom ----------------------------------------------------------------------------- */

  yOfTrack(track, top) {
    const line = this.lines.find(other => other.track === track);
    return line ? line.y - top + PAD + BAND / 2 : null;
  }

  arrowBetween(from, to, time, top, strong) {
    const y1 = this.yOfTrack(from, top), y2 = this.yOfTrack(to, top), x = this.xOf(time);
    if (y1 === null || y2 === null || from === to || x < LABELS || x > this.width) return;
    const {context} = this, sign = y2 > y1 ? 1 : -1;
    context.strokeStyle = context.fillStyle = strong ? theme.arrow : theme.soft;
    context.lineWidth = strong ? 2 : 1;
    context.globalAlpha = strong ? 1 : 0.55;
    context.beginPath();
    context.arc(x, y1, strong ? 3.5 : 2, 0, 7);
    context.fill();
    context.beginPath();
    context.moveTo(x, y1);
    context.lineTo(x, y2 - sign * 6);
    context.stroke();
    context.beginPath();
    context.moveTo(x, y2);
    context.lineTo(x - 4, y2 - sign * 7);
    context.lineTo(x + 4, y2 - sign * 7);
    context.fill();
    context.globalAlpha = 1;
  }

  drawArrows(top) {
    const wakeups = [];
    for (const {track} of this.visible.filter(line => line.kind === "track")) {
      for (const row of track.rows.sched) {
        const level = row.levelFor(this.nsPerPixel);
        for (let i = level.findFrom(this.from); i < level.count && level.start[i] <= this.to && wakeups.length <= ARROWS_MAX; i++) {
          if (level.countOf(i) > 1 || this.model.names[level.name[i]] !== "runnable") continue;
          const other = this.model.trackOf(track.process.recording, smallValue(level.second, i));
          if (other && level.start[i] >= this.from) wakeups.push([other, track, level.start[i]]);
        }
      }
    }
    if (wakeups.length <= ARROWS_MAX) for (const [from, to, time] of wakeups) this.arrowBetween(from, to, time, top, false);
    if (this.arrow && this.arrow.track) this.arrowBetween(this.arrow.track, this.selected.track, this.arrow.time, top, true);
  }
}

/* ---- the whole recording at a glance --------------------------------------------------------------- */

class Minimap {
  constructor(canvas, timeline) {
    Object.assign(this, {canvas, timeline, picture: null});
  }

  resize() {
    const ratio = devicePixelRatio;
    this.width = this.canvas.clientWidth;
    this.height = this.canvas.clientHeight;
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.picture = null;
    this.draw();
  }

  timeAt(x) { return x / this.width * this.timeline.limit; }

  /* Each thread is a line: how much of a pixel's time it was in something, waits and losses on top. */
  paint() {
    const ratio = devicePixelRatio, {timeline} = this, {model, limit} = timeline;
    const picture = new OffscreenCanvas(this.canvas.width, this.canvas.height), context = picture.getContext("2d");
    const tracks = timeline.tracks, height = this.height / Math.max(tracks.length, 1), perPixel = limit / this.width;
    context.scale(ratio, ratio);
    tracks.forEach((track, line) => {
      const y = line * height, thick = Math.max(Math.min(height - 1, 10), 1);
      const paintRow = (row, color) => {
        const level = row.levelFor(perPixel);
        let last = -1;
        for (let i = 0; i < level.count; i++) {
          const wanted = color(level, i), length = level.end[i] - level.start[i];
          if (!wanted || level.end[i] / perPixel - last < 0.5) continue;
          last = Math.max(level.end[i] / perPixel, level.start[i] / perPixel + 0.6);
          context.globalAlpha = length > 0 ? 0.25 + 0.75 * level.busyOf(i) / length : 1;
          context.fillStyle = wanted;
          context.fillRect(level.start[i] / perPixel, y, Math.max(length / perPixel, 0.6), thick);
        }
      };
      const cool = nameColor(-1 - line, track.name);
      for (const row of track.rows.sched.slice(0, 1)) paintRow(row, (level, i) => model.names[level.name[i]] === "running" ? theme.running : null);
      for (const row of [...track.rows.instant, ...track.rows.call.slice(0, 1), ...track.rows.span.slice(0, 1)]) paintRow(row, () => cool);
      for (const row of track.nested) paintRow(row, (level, i) => timeline.isWait(level, i, 0) ? theme.wait : null);
      for (const row of track.rows.lost) paintRow(row, () => theme.bad);
    });
    this.picture = picture;
  }

  draw() {
    if (!this.width) return;
    if (!this.picture) this.paint();
    const context = this.canvas.getContext("2d"), ratio = devicePixelRatio, {from, to, limit} = this.timeline;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = theme.back;
    context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    context.drawImage(this.picture, 0, 0);
    context.scale(ratio, ratio);
    const left = from / limit * this.width, right = Math.max(to / limit * this.width, left + 3);
    context.fillStyle = theme.light ? "#0002" : "#0008";
    context.fillRect(0, 0, left, this.height);
    context.fillRect(right, 0, this.width - right, this.height);
    context.strokeStyle = theme.accent;
    context.lineWidth = 2;
    context.strokeRect(left, 1, right - left, this.height - 2);
  }
}
