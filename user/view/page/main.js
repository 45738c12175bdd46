/* SPDX-License-Identifier: MIT */
/* What keys, the mouse and the buttons do. */

const byId = id => document.getElementById(id);
let model = null, timeline = null, minimap = null, panels = null;
let loadedIn = 0; // ms, until the first picture

/* ---- choosing ---------------------------------------------------------------------------------- */

function select(item, zoom = false, move = true) {
  timeline.selected = item;
  timeline.arrow = item && item.track ? model.waitedFor(item.track, item.row, item.i) : null;
  if (item && item.track && (zoom || move)) timeline.reveal(item, zoom);
  timeline.redraw();
  if (panels.tab === "details" || !zoom) panels.show("details");
}

function chooseRange(from, to) {
  timeline.range = from === null ? null : {from: Math.max(Math.min(from, to), 0), to: Math.min(Math.max(from, to), timeline.limit)};
  timeline.redraw();
  panels.viewChanged();
}

/* The next thing in a row, or the one above or below it, at the same time. */
function step(forward) {
  const item = timeline.selected;
  if (!item) return selectFirst();
  const i = item.i + (forward ? 1 : -1);
  if (i >= 0 && i < item.row.exact.count) select({...item, i});
}

function stepRow(down) {
  const item = timeline.selected;
  if (!item || !item.track) return selectFirst();
  const lines = timeline.tracks.flatMap(track => track.places.map(place => ({track, row: place.row})));
  const time = item.row.exact.start[item.i];
  for (let at = lines.findIndex(line => line.row === item.row) + (down ? 1 : -1); lines[at]; at += down ? 1 : -1) {
    const level = lines[at].row.exact, i = Math.min(Math.max(level.findBefore(time), 0), level.count - 1);
    if (i >= 0 && level.end[i] >= timeline.from && level.start[i] <= timeline.to) return select({...lines[at], i});
  }
}

function selectFirst() {
  for (const track of timeline.tracks)
    for (const {row} of track.places) {
      const i = row.exact.findFrom(timeline.from);
      if (i < row.exact.count && row.exact.start[i] <= timeline.to) return select({track, row, i});
    }
}

/* ---- search ------------------------------------------------------------------------------------ */

let matchAt = null; // key of the match that was chosen last

function search(text) {
  byId("search").value = text;
  matchAt = null;
  if (!text) {
    timeline.found = null;
    byId("matches").textContent = "";
  } else {
    const {found, count, any} = model.search(text);
    timeline.found = found;
    byId("matches").textContent = any && count ? `${grouped(count)} found` : "none";
  }
  timeline.redraw();
  if (panels.tab === "flame") panels.refresh();
}

function goToMatch(forward) {
  if (!timeline.found) return;
  const match = model.findMatch(timeline.found, timeline.tracks, matchAt, forward) ||
    model.findMatch(timeline.found, timeline.tracks, null, forward);
  if (!match) return;
  matchAt = match.key;
  select({track: match.track, row: match.row, i: match.i});
}

/* ---- help -------------------------------------------------------------------------------------- */

function showHelp() {
  const key = (keys, what) => element("tr", {}, element("th", {scope: "row"}, keys), element("td", {}, what));
  const color = (name, what) => {
    const swatch = element("span", {className: "swatch"});
    swatch.style.background = theme[name];
    return element("tr", {}, element("th", {scope: "row"}, swatch), element("td", {}, what));
  };
  byId("help").replaceChildren(element("h2", {}, "Keys and colours"), element("div", {className: "columns"},
    element("table", {}, key("wheel, w s", "zoom in and out, at the mouse"), key("Shift + wheel, a d", "earlier, later"),
      key("wheel over names, Page Up/Down", "up and down"), key("drag", "choose a range: for the flame graph, functions and waits"),
      key("Shift + drag", "move"), key("drag in the overview", "show that part"), key("z", "zoom to the chosen range, or thing"), key("0", "everything"),
      key("arrows", "next thing, before, above, below"), key("Enter, double click", "zoom to the chosen thing"),
      key("/  n  N", "search; next and previous match"), key("1 \u2026 6", "panels"), key("c", "fold or unfold all threads; click on a name: that one"),
      key("Esc", "choose nothing")),
    element("table", {}, color("wait", "a call that waited for another thread, a microsecond or more"), color("idle", "a call that waits for something to do"),
      color("running", "on a CPU"), color("runnable", "woken, waits for a CPU"), color("preempted", "taken off its CPU"),
      color("sleeping", "sleeps (a thin line)"), color("blocked", "blocked, mostly for a disk"), color("bad", "hatched: events may be missing; dots at an end: it never ended, or that is not sure"),
      color("mark", "a mark"), color("arrow", "arrows: who woke, or let go, whom"))),
  element("form", {method: "dialog"}, element("button", {}, "Close")));
  byId("help").showModal();
}

/* ---- mouse ------------------------------------------------------------------------------------- */

function tooltip(event, text) {
  const box = byId("tooltip");
  box.hidden = !text;
  if (!text) return;
  box.textContent = text;
  box.style.left = Math.min(event.clientX + 14, innerWidth - box.offsetWidth - 8) + "px";
  box.style.top = (event.clientY + 20 + box.offsetHeight > innerHeight ? event.clientY - box.offsetHeight - 8 : event.clientY + 16) + "px";
}

function describe(item) {
  const level = item.row.exact, length = level.end[item.i] - level.start[item.i];
  const value = item.row.kind === "counter" ? "\n" + argument(wideValue(level.first, item.i), true) : "";
  return panels.titleOf(item) + (length > 0 ? "\n" + duration(length) : "") + value + `\nat ${seconds(model.begin, level.start[item.i])} s`;
}

/* Follows the pointer from `down` on; `moved(event, distance)` while it moves, `done(event, clicked)` at the end. */
function follow(target, down, moved, done) {
  let far = false;
  target.setPointerCapture(down.pointerId);
  const move = event => {
    far = far || Math.abs(event.clientX - down.clientX) > 3;
    if (far) moved(event);
  };
  const up = event => {
    target.removeEventListener("pointermove", move);
    target.removeEventListener("pointerup", up);
    target.removeEventListener("pointercancel", up);
    done(event, !far);
  };
  target.addEventListener("pointermove", move);
  target.addEventListener("pointerup", up);
  target.addEventListener("pointercancel", up);
}

function clickAt(x, y) {
  const line = timeline.lineAt(y);
  if (x < LABELS) {
    if (line && line.kind === "track") timeline.fold(line.track);
    return;
  }
  const item = timeline.itemAt(x, y);
  if (item) select(item, false, false);
  else {
    chooseRange(null);
    select(null);
  }
}

function listenToTimeline(canvas) {
  const place = event => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  canvas.addEventListener("pointerdown", event => {
    if (event.button !== 0) return;
    const [x] = place(event), begun = timeline.timeAt(Math.max(x, LABELS)), {from, to} = timeline;
    tooltip(event, null);
    follow(canvas, event, move => {
      if (x < LABELS) return;
      if (event.shiftKey) {
        const shift = (event.clientX - move.clientX) * (to - from) / timeline.plot;
        const start = Math.min(Math.max(from + shift, 0), timeline.limit - (to - from));
        timeline.show(start, start + to - from);
      } else {
        chooseRange(begun, timeline.timeAt(Math.max(place(move)[0], LABELS)));
      }
    }, (up, clicked) => { if (clicked) clickAt(...place(up)); });
  });
  canvas.addEventListener("dblclick", () => { if (timeline.selected) select(timeline.selected, true); });
  canvas.addEventListener("mousemove", event => {
    const item = event.buttons ? null : timeline.itemAt(...place(event));
    canvas.style.cursor = item ? "pointer" : "";
    tooltip(event, item && describe(item));
  });
  canvas.addEventListener("mouseleave", event => tooltip(event, null));
  canvas.addEventListener("wheel", event => {
    const [x] = place(event);
    if (x < LABELS && !event.ctrlKey) return; // scrolls
    event.preventDefault();
    tooltip(event, null);
    const unit = event.deltaMode === 1 ? 30 : 1, sideways = event.shiftKey ? event.deltaX || event.deltaY : event.deltaX;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) timeline.pan(sideways * unit / timeline.plot);
    else timeline.zoom(Math.pow(1.0022, Math.min(Math.max(event.deltaY * unit, -400), 400)), Math.max(x, LABELS));
  }, {passive: false});
  const scroll = byId("scroll");
  scroll.addEventListener("scroll", () => timeline.redraw());
}

function listenToMinimap(canvas) {
  canvas.addEventListener("pointerdown", event => {
    const box = canvas.getBoundingClientRect(), begun = minimap.timeAt(event.clientX - box.left);
    follow(canvas, event, move => {
      const now = minimap.timeAt(move.clientX - box.left);
      timeline.show(Math.min(begun, now), Math.max(begun, now));
    }, (up, clicked) => {
      const half = (timeline.to - timeline.from) / 2, middle = Math.min(Math.max(begun, half), timeline.limit - half);
      if (clicked) timeline.show(middle - half, middle + half);
    });
  });
}

function listenToSplitter(splitter) {
  const panel = byId("panel"), set = height => {
    panel.style.height = Math.min(Math.max(height, 80), innerHeight - 220) + "px";
    resized();
  };
  splitter.addEventListener("pointerdown", event => {
    const height = panel.offsetHeight, move = now => set(height + event.clientY - now.clientY);
    splitter.setPointerCapture(event.pointerId);
    splitter.addEventListener("pointermove", move);
    splitter.addEventListener("pointerup", () => splitter.removeEventListener("pointermove", move), {once: true});
  });
  splitter.addEventListener("keydown", event => {
    if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      event.preventDefault();
      set(panel.offsetHeight + (event.key === "ArrowUp" ? 30 : -30));
    }
  });
}

/* ---- keys -------------------------------------------------------------------------------------- */

function zoomToChosen() {
  if (timeline.range) {
    timeline.show(timeline.range.from, timeline.range.to);
    chooseRange(null);
  } else if (timeline.selected) {
    select(timeline.selected, true);
  }
}

const KEYS = {
  w: () => timeline.zoom(1 / 1.5), s: () => timeline.zoom(1.5), "+": () => timeline.zoom(1 / 1.5), "-": () => timeline.zoom(1.5),
  a: () => timeline.pan(-0.2), d: () => timeline.pan(0.2), 0: () => timeline.show(0, timeline.limit), z: zoomToChosen,
  c: () => timeline.foldAll(), n: () => goToMatch(true), N: () => goToMatch(false), "?": showHelp,
  "/": () => byId("search").focus(),
  Escape: () => { chooseRange(null); select(null); },
};
const TABS = ["details", "waits", "flame", "functions", "threads", "recording"];
/* Where the focus is on something that has these keys for itself, they are left to it. */
const TIMELINE_KEYS = {
  ArrowRight: () => step(true), ArrowLeft: () => step(false), ArrowDown: () => stepRow(true), ArrowUp: () => stepRow(false),
  Enter: zoomToChosen,
  PageDown: () => { byId("scroll").scrollTop += timeline.viewHeight * 0.8; }, PageUp: () => { byId("scroll").scrollTop -= timeline.viewHeight * 0.8; },
  Home: () => timeline.show(0, timeline.to - timeline.from), End: () => timeline.show(timeline.limit - timeline.to + timeline.from, timeline.limit),
};

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("help").open) return;
  if (event.target.tagName === "INPUT" && event.target.type === "search") {
    if (event.key === "Enter") goToMatch(!event.shiftKey);
    else if (event.key === "Escape") {
      search("");
      byId("timeline").focus();
    }
    return;
  }
  if (event.target.tagName === "SELECT") return;
  const onTimeline = event.target === document.body || event.target.id === "timeline";
  const action = KEYS[event.key] || (TABS[event.key - 1] && (() => panels.show(TABS[event.key - 1]))) || onTimeline && TIMELINE_KEYS[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

/* ---- the whole --------------------------------------------------------------------------------- */

function resized() {
  timeline.resize();
  minimap.resize();
  if (panels.tab === "flame") panels.refresh();
}

function warn(told) {
  const lines = [];
  if (told.lost) lines.push(`${grouped(told.lost)} events of the recording are lost. Where some may be missing the timeline is hatched; the threads say how many each has lost.`);
  if (told.resolution) lines.push(`${grouped(told.added)} things are too many for a page: what is within ${duration(told.resolution)} may be one. Take a part, with --from and --to, to see it exactly.`);
  if (told.left_out + told.too_deep) lines.push(`${grouped(told.left_out + told.too_deep)} things are left out for want of room.`);
  if (told.texts_left_out) lines.push(`The fields of ${grouped(told.texts_left_out)} events are left out for want of room.`);
  if (told.vanished) lines.push(`${grouped(told.vanished)} events are left out, as their files were removed while they were read.`);
  if (told.guessed_clock) lines.push("Times are not in step with seconds: the recording has too few anchors of its clock.");
  byId("warnings").replaceChildren(...lines.map(line => element("div", {}, line)));
  byId("warnings").hidden = !lines.length;
}

function introduce(told) {
  const command = model.processes.map(process => process.command.replace(/^kernel:/, "")).find(text => text);
  const title = command ? command.replace(/^\S*\//, "") : told.title;
  document.title = `${title} \u2013 adatrace`;
  byId("title").textContent = title;
  byId("title").title = command || told.title;
  byId("about").textContent = `${duration(told.duration)}, ${grouped(told.events)} events, ${timeline.tracks.length} threads`;
  warn(told);
}

function listen() {
  listenToTimeline(byId("timeline"));
  listenToMinimap(byId("minimap"));
  listenToSplitter(byId("splitter"));
  document.addEventListener("keydown", pressed);
  byId("search").addEventListener("input", event => search(event.target.value));
  byId("next").addEventListener("click", () => goToMatch(true));
  byId("previous").addEventListener("click", () => goToMatch(false));
  byId("zoom-in").addEventListener("click", () => timeline.zoom(1 / 1.5));
  byId("zoom-out").addEventListener("click", () => timeline.zoom(1.5));
  byId("zoom-all").addEventListener("click", () => timeline.show(0, timeline.limit));
  byId("help-button").addEventListener("click", showHelp);
  byId("order").addEventListener("change", event => {
    timeline.order = event.target.value;
    timeline.arrange();
    minimap.resize();
  });
  for (const button of document.querySelectorAll("nav [data-tab]")) button.addEventListener("click", () => panels.show(button.dataset.tab));
  addEventListener("resize", resized);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    readTheme();
    resized();
  });
}

async function begin() {
  const begun = performance.now(), data = byId("data");
  try {
    const told = await readRecording(data.textContent);
    data.remove(); // its text is not needed any more
    readTheme();
    model = new Model(told);
    timeline = new Timeline(byId("timeline"), byId("scroll"), byId("spacer"), model);
    minimap = new Minimap(byId("minimap"), timeline);
    panels = new Panels(byId("content"), model, timeline, {select, search, tooltip});
    introduce(told);
    listen();
    let shown = "";
    timeline.onDrawn = () => {
      const now = `${timeline.from} ${timeline.to}`;
      if (now === shown) return;
      shown = now;
      minimap.draw();
      panels.viewChanged();
    };
    resized();
    panels.show(model.waits(timeline.tracks, 0, timeline.limit, {calls: true}).length ? "waits" : "details");
    requestAnimationFrame(() => {
      loadedIn = performance.now() - begun;
      document.body.dataset.state = "ready";
    });
  } catch (error) {
    byId("about").textContent = `This page cannot be shown: ${error.message}. It needs a browser of 2023 or later, and all of its file.`;
    document.body.dataset.state = "failed";
    throw error;
  }
}

document.addEventListener("DOMContentLoaded", begin);
