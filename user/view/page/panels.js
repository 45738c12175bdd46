/* SPDX-License-Identifier: MIT */
/* What stands below the timeline: details, waits, where the time went, threads, the recording. All texts of the recording become text nodes. */

const FRAME = 17;        // px: height of a frame of the flame graph
const ROWS_SHOWN = 500;

class Panels {
  constructor(content, model, timeline, actions) {
    Object.assign(this, {content, model, timeline, actions, tab: "details"});
    this.wanted = {calls: true, sched: model.told.sched, idle: false};
    this.sorts = {functions: ["self", true], threads: ["waited", true]};
    this.flameRoot = 0;
  }

  /* The range that was chosen; else what is on the screen. */
  get span() {
    const {range, from, to} = this.timeline;
    return range ? [range.from, range.to] : [from, to];
  }

  show(tab) {
    this.tab = tab;
    for (const button of document.querySelectorAll("nav [data-tab]"))
      button.setAttribute("aria-selected", String(button.dataset.tab === tab));
    this.refresh();
  }

  refresh() {
    this.content.replaceChildren(...this[this.tab]());
    if (this.tab === "flame") this.drawFlame();
  }

  /* What depends on what is on the screen follows it, when that has come to rest. */
  viewChanged() {
    const [from, to] = this.span, {begin} = this.model, digits = to - from < 1e6 ? 9 : 6;
    document.getElementById("range").textContent =
      `${this.timeline.range ? "chosen: " : ""}${seconds(begin, from, digits)} \u2013 ${seconds(begin, to, digits)} s: ${duration(to - from)}`;
    if (!["waits", "flame", "functions"].includes(this.tab)) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.refresh(), 150);
  }

  /* ---- details --------------------------------------------------------------------------------- */

  list(pairs) {
    const list = element("dl");
    for (const [name, value] of pairs)
      if (value !== null && value !== undefined && value !== "") list.append(element("dt", {}, name), element("dd", {}, value));
    return list;
  }

  link(text, item, zoom = false) {
    return element("button", {type: "button", className: "link", on: {click: () => this.actions.select(item, zoom)}}, text);
  }

  threadName(track, tid) {
    if (track) return element("button", {type: "button", className: "link", on: {click: () => this.timeline.revealRow(track)}},
      `${track.name || "thread"} (${track.pid}/${track.tid})`);
    return tid ? `thread ${tid}, which was not recorded` : "the kernel, or an interrupt";
  }

  details() {
    const item = this.timeline.selected;
    if (!item) return [element("p", {className: "soft"},
      "Click a span, an event or a state to see what it is. Drag over the timeline to choose a range. The wheel zooms, ? shows all keys.")];
    return [element("h2", {}, this.titleOf(item)), element("div", {className: "columns"}, this.facts(item), ...this.sides(item))];
  }

  titleOf({row, i}) {
    const level = row.exact, name = this.model.names[level.name[i]];
    if (row.kind === "lost") return "events may be missing here";
    return level.countOf(i) > 1 ? `${grouped(level.countOf(i))} things that are close together, mostly ${name}` : name;
  }

  facts(item) {
    const {track, row, i} = item, level = row.exact, {model} = this, length = level.end[i] - level.start[i];
    const several = level.countOf(i) > 1, nested = row.kind === "span" || row.kind === "call";
    return this.list([
      ["thread", track && `${track.name || "thread"} (${track.pid}/${track.tid})`],
      ["process", item.process && `${item.process.pid} ${item.process.command}`],
      ["what", this.kindText(item)],
      ["start", `${seconds(model.begin, level.start[i])} s since the start${level.start[i] < 0 ? ", before what is shown" : ""}`],
      ["time of day", timeOfDay(model.told.realtime, level.start[i])],
      ["duration", length > 0 || nested ? exactDuration(length) : null],
      ["self", nested && !several && level.start[i] >= 0 ? exactDuration(model.selfOf(track, row, i)) : null],
      ["of it in them", several ? exactDuration(level.busyOf(i)) : null],
      ["depth", nested ? String(row.depth) : null],
      ["end", this.endText(level, i)],
    ]);
  }

  kindText({row, i}) {
    const kinds = {span: "function or span", call: "told by the kernel", instant: "event", mark: "mark", counter: "value of a counter",
      sched: "state", lost: "loss"};
    const kind = this.model.kindOf[row.exact.name[i]];
    return kinds[row.kind] + (row.kind === "span" || row.kind === "call" ? kind === WAIT ? " that may wait for another thread" : kind === IDLE ? " that waits for something to do" : "" : "");
  }

  endText(level, i) {
    const flags = level.flagsOf(i);
    if (flags & OPEN_END) return "it had not ended where its thread, or the recording, did";
    if (flags & UNSURE) return "events were lost within it: its end may be another's";
    if (flags & UNWOUND) return "it was left at some time before: by longjmp, or an exception";
    return null;
  }

  sides(item) {
    const {row, i} = item, level = row.exact, found = [];
    const values = this.values(item);
    if (values.length) found.push(element("div", {}, element("h3", {}, "values"), this.list(values)));
    const text = level.text ? this.model.told.texts[level.text[i]] : "";
    if (text) found.push(element("div", {}, element("h3", {}, "fields"), this.list(fields(text))));
    const wait = item.track && this.model.waitedFor(item.track, row, i);
    const held = item.track && this.model.heldBy(item.track, row, i);
    if (held && row.kind !== "instant") found.push(element("div", {}, element("h3", {}, "whom it waits for"), this.list([
      ["thread", this.threadName(held.track, held.tid)], ["how", "it has the mutex, or its end is waited for: as of when this was attached to"]])));
    if (wait) found.push(element("div", {}, element("h3", {}, "who let it go on"), this.list([
      ["thread", this.threadName(wait.track, wait.tid)], ["at", `${seconds(this.model.begin, wait.time)} s`], ["how", wait.how]])));
    return found;
  }

  values({row, i}) {
    const level = row.exact, flags = level.flagsOf(i);
    if (level.countOf(i) > 1) return [];
    if (row.kind === "counter") return [["value", grouped(argument(wideValue(level.first, i), true))]];
    if (row.kind === "lost") return [["events", flags & FLAG_FIRST ? grouped(wideValue(level.first, i)) : "not known how many"]];
    if (row.kind === "sched") {
      const state = this.model.names[level.name[i]], other = smallValue(level.second, i);
      return [["CPU", state === "running" || state === "runnable" || state === "preempted" ? String(smallValue(level.first, i)) : null],
        ["then ran", state === "running" && other ? `thread ${other}` : null]].filter(([, value]) => value !== null);
    }
    const found = [];
    if (flags & FLAG_FIRST) found.push([row.kind === "instant" || row.kind === "mark" ? "argument" : "begins with", argument(wideValue(level.first, i), false)]);
    if (flags & FLAG_SECOND) found.push(["ends with", argument(wideValue(level.second, i), true)]);
    return found;
  }

  /* ---- tables ---------------------------------------------------------------------------------- */

  /* Columns: [key, title, text of a row, class]. */
  table(columns, rows, activate, sort) {
    const head = element("tr"), body = element("tbody");
    for (const [key, title, , kind] of columns) {
      const cell = element("th", {className: (kind || "") + (sort ? " sortable" : ""), scope: "col"}, title);
      if (sort) {
        if (sort[0] === key) cell.ariaSort = sort[1] ? "descending" : "ascending";
        cell.tabIndex = 0;
        const by = () => {
          [sort[0], sort[1]] = [key, sort[0] === key ? !sort[1] : kind !== "text"];
          this.refresh();
        };
        cell.addEventListener("click", by);
        cell.addEventListener("keydown", event => { if (event.key === "Enter") by(); });
      }
      head.append(cell);
    }
    for (const row of rows.slice(0, ROWS_SHOWN)) {
      const line = element("tr", {tabIndex: 0});
      for (const [, , text, kind] of columns) {
        const value = text(row), cell = element("td", {className: kind || ""}, value);
        if (kind === "text" && typeof value === "string") cell.title = value;
        line.append(cell);
      }
      line.addEventListener("click", event => { if (event.target.tagName !== "BUTTON") activate(row); });
      line.addEventListener("keydown", event => { if (event.key === "Enter" && event.target === line) activate(row); });
      body.append(line);
    }
    return element("table", {}, element("thead", {}, head), body);
  }

  sorted(rows, [key, descending], columns) {
    const sign = descending ? -1 : 1;
    return rows.sort((a, b) => sign * (typeof a[key] === "string" ? a[key].localeCompare(b[key]) : a[key] - b[key]));
  }

  waits() {
    const {model, timeline} = this, [from, to] = this.span;
    const choose = (key, text) => element("label", {}, element("input", {type: "checkbox", checked: this.wanted[key],
      on: {change: event => { this.wanted[key] = event.target.checked; this.refresh(); }}}), " ", text, "  ");
    const found = model.waits(timeline.tracks, from, to, this.wanted);
    const who = row => {
      if (row.row.exact.flagsOf(row.i) & OPEN_END) {
        const held = model.heldBy(row.track, row.row, row.i);
        return element("span", {className: "bad"}, "nobody: it waits to the end", ...(held ? [", for ", this.threadName(held.track, held.tid)] : []));
      }
      if (model.timedOut(row.row, row.i)) return "nobody: it timed out";
      const wait = model.waitedFor(row.track, row.row, row.i);
      return wait ? this.threadName(wait.track, wait.tid) : "\u2013";
    };
    const object = ({row, i}) => row.kind !== "sched" && row.exact.first ? argument(wideValue(row.exact.first, i), false) : "";
    const parts = [element("p", {}, choose("calls", "calls that wait for another thread"),
      ...(model.told.sched ? [choose("sched", "the scheduler's view: off the CPU")] : []), choose("idle", "calls that wait for something to do"))];
    if (!found.length) return [...parts, element("p", {className: "soft"}, "None of a microsecond or more in this range.")];
    return [...parts, this.table([
      ["duration", "waited", ({duration: length}) => duration(length)],
      ["thread", "thread", ({track}) => `${track.name || "thread"} (${track.pid}/${track.tid})`, "text"],
      ["what", "in", ({row, i}) => model.names[row.exact.name[i]], "text"],
      ["object", "for", object, "text"],
      ["who", "until let go by", who, "text"],
      ["start", "since, s", ({row, i}) => seconds(model.begin, row.exact.start[i], 6)],
    ], found, row => this.actions.select(row, true))];
  }

  functions() {
    const {model, timeline} = this, [from, to] = this.span, sort = this.sorts.functions;
    const rows = model.functions(timeline.tracks, from, to).map(row => ({...row, text: model.names[row.name], part: row.self}));
    const whole = rows.reduce((sum, row) => sum + row.self, 0) || 1;
    if (!rows.length) return [element("p", {className: "soft"}, "No functions and no spans in this range.")];
    return [...this.notExact(), this.table([
      ["text", "function or span", row => row.text, "text"], ["count", "calls", row => grouped(row.count)],
      ["total", "total", row => duration(row.total)], ["self", "self", row => duration(row.self)],
      ["part", "self, %", row => (100 * row.self / whole).toFixed(1)],
    ], this.sorted(rows, sort), row => this.actions.search(row.text), sort)];
  }

  threads() {
    const {model, timeline} = this, sort = this.sorts.threads;
    const rows = timeline.tracks.map(track => ({track, name: track.name, id: track.tid, lost: track.lost, ...model.sums(track)}));
    const empty = model.tracks.length - rows.length;
    return [this.table([
      ["name", "thread", row => row.name || "thread", "text"], ["id", "pid/tid", row => `${row.track.pid}/${row.track.tid}`],
      ["items", "spans and events", row => grouped(row.items)], ["busy", "in outermost spans", row => duration(row.busy)],
      ["waited", "waited", row => duration(row.waited)],
      ...(model.told.sched ? [["ran", "on a CPU", row => duration(row.ran)]] : []),
      ["lost", "events lost", row => row.lost ? element("span", {className: "bad"}, grouped(row.lost)) : "0"],
      ["start", "first, s", row => seconds(model.begin, row.start, 6)],
    ], this.sorted(rows, sort), row => timeline.revealRow(row.track), sort),
    ...(empty ? [element("p", {className: "soft"}, `${grouped(empty)} threads have nothing in what this page shows.`)] : [])];
  }

  notExact() {
    const {resolution} = this.model.told;
    return resolution ? [element("p", {className: "soft"},
      `What is within ${duration(resolution)} may be one here, under the name that took most of it: sums of names are close, and not exact.`)] : [];
  }

  recording() {
    const {told} = this.model;
    return [this.list([
      ["trace", told.title], ["host", told.host], ["written by", `adatrace ${told.adatrace}`],
      ["begin", timeOfDay(told.realtime, 0)], ["duration", exactDuration(told.duration)],
      ["events", grouped(told.events)], ["lost", `${grouped(told.lost)} in all of the recording`],
      ["part", told.from || told.to ? "of the recording only: --from, --to" : "all of the recording"],
      ["exact", told.resolution ? `no: ${grouped(told.added)} things are shown as fewer, at ${exactDuration(told.resolution)}` : "to the last event"],
      ["ends without a begin", told.unmatched ? grouped(told.unmatched) : ""],
      ["clocks", told.guessed_clock ? "not in step with seconds: there were too few anchors" : `the program's and the kernel's are in step within ${duration(told.clock_error)}`],
    ]), ...this.model.processes.map(process => element("p", {}, element("b", {}, String(process.pid)), " ", process.command || process.program))];
  }

  /* ---- flame graph ----------------------------------------------------------------------------- */

  flame() {
    const {model, timeline} = this, [from, to] = this.span;
    this.sums = model.flame(timeline.tracks, from, to);
    if (!this.sums.total[0]) return [element("p", {className: "soft"}, "No functions and no spans in this range.")];
    if (!this.sums.total[this.flameRoot]) this.flameRoot = 0;
    this.flameCanvas = element("canvas", {tabIndex: 0, ariaLabel: "flame graph; the table of functions has the same"});
    this.flameCanvas.addEventListener("mousemove", event => this.hoverFlame(event));
    this.flameCanvas.addEventListener("mouseleave", () => this.actions.tooltip(null));
    this.flameCanvas.addEventListener("click", event => {
      const frame = this.frameAt(event);
      if (!frame) return;
      this.flameRoot = frame.node === this.flameRoot ? 0 : frame.node;
      this.refresh();
    });
    return [...this.notExact(), this.flameCanvas];
  }

  /* Frames from the outermost down, each as wide as its time. */
  drawFlame() {
    if (!this.flameCanvas || !this.sums.total[0]) return;
    const canvas = this.flameCanvas, ratio = devicePixelRatio, {tree, total} = this.sums, width = this.content.clientWidth - 24;
    this.frames = [];
    let deepest = 0;
    const place = (node, left, room, depth) => {
      this.frames.push({node, left, width: room, depth});
      deepest = Math.max(deepest, depth);
      const children = [...tree.children[node].values()].filter(child => total[child] > 0).sort((a, b) => total[b] - total[a]);
      for (const child of children) {
        const part = room * total[child] / Math.max(total[node], 1);
        if (part >= 0.4) place(child, left, part, depth + 1);
        left += part;
      }
    };
    place(this.flameRoot, 0, width, 0);
    const height = (deepest + 1) * FRAME + 2;
    canvas.style.height = height + "px";
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    for (const frame of this.frames) {
      const name = tree.name[frame.node], kind = frame.node ? this.model.kindOf[name] : PLAIN, y = frame.depth * FRAME;
      const found = this.timeline.found;
      context.globalAlpha = found && frame.node && !found[name] ? 0.35 : 1;
      context.fillStyle = !frame.node ? theme.panel : kind === WAIT ? theme.wait : kind === IDLE ? theme.idle : nameColor(name, this.model.names[name]);
      context.fillRect(frame.left, y, Math.max(frame.width - 0.5, 0.4), FRAME - 1);
      if (frame.width < NARROW) continue;
      context.fillStyle = kind === WAIT ? "#fff" : theme.text;
      context.fillText(fit(this.frameText(frame.node), (frame.width - 6) / CHARACTER | 0), frame.left + 3, y + FRAME / 2);
    }
    context.globalAlpha = 1;
  }

  frameText(node) {
    const {tree, total} = this.sums, part = (100 * total[node] / total[0]).toFixed(1);
    return `${node ? this.model.names[tree.name[node]] : "all threads"}  ${duration(total[node])}  ${part} %`;
  }

  frameAt(event) {
    const box = this.flameCanvas.getBoundingClientRect(), x = event.clientX - box.left, depth = Math.floor((event.clientY - box.top) / FRAME);
    return this.frames && this.frames.find(frame => frame.depth === depth && x >= frame.left && x < frame.left + frame.width);
  }

  hoverFlame(event) {
    const frame = this.frameAt(event);
    if (!frame) return this.actions.tooltip(null);
    const {total, self, count} = this.sums;
    this.actions.tooltip(event, `${this.frameText(frame.node)}\nself ${duration(self[frame.node])}` +
      (frame.node ? `, ${grouped(count[frame.node])} calls` : ""));
  }
}
