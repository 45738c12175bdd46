/* SPDX-License-Identifier: MIT */
/* Threads with their rows, and questions about them: who waited, and for whom; what is called how; where the time went. */

/* Calls that return when another thread lets them. */
const WAITS = new RegExp("^(syscall\\.)?(pthread_(mutex_(lock|timedlock|clocklock)|rwlock_(rdlock|wrlock|timedrdlock|timedwrlock|clockrdlock|clockwrlock)|" +
  "cond_(wait|timedwait|clockwait)|barrier_wait|spin_lock|join|timedjoin_np|clockjoin_np)|sem_(wait|timedwait|clockwait)|thrd_join|futex|futex_wait|futex_waitv|" +
  "wait4|waitid|waitpid|semop|semtimedop|semtimedop_time64|flock)$");
/* Calls that wait for the world, or for time to pass: mostly a thread that has nothing to do. */
const IDLES = new RegExp("^(syscall\\.)?(poll|ppoll|select|pselect|pselect6|epoll_wait|epoll_pwait|epoll_pwait2|accept|accept4|sleep|usleep|nanosleep|" +
  "clock_nanosleep|pause|rt_sigtimedwait|io_getevents|io_uring_enter|restart_syscall)$");
/* Events that let another thread go on; their argument is the object that it waits for. */
const RELEASES = new Set(["pthread_mutex_unlock", "pthread_rwlock_unlock", "pthread_spin_unlock", "pthread_cond_signal",
  "pthread_cond_broadcast", "sem_post"]);
/* The kernel tells who was on the CPU, and not whether it or an interrupt woke. */
const WOKEN = "woke it, as the kernel saw: itself, or an interrupt while it ran";
const WAIT_LEAST = 1000;   // ns: shorter, nobody waited
const WAIT_LONG = 100000;  // ns: stands out from however far
const WAITS_SHOWN = 200;

const PLAIN = 0, WAIT = 1, IDLE = 2; // what a name stands for

class Track {
  constructor(index, told, process, names) {
    this.index = index;
    this.tid = told.tid;
    this.process = process;
    this.pid = process.pid;
    this.name = names[told.name] || "";
    this.lost = told.lost;
    this.rows = {lost: [], sched: [], mark: [], instant: [], span: [], call: []};
  }

  get nested() { return [...this.rows.span, ...this.rows.call]; }
  get label() { return `${this.name || "thread"} ${this.tid}`; }
}

class Model {
  constructor(told) {
    this.told = told;
    this.names = told.names;
    this.begin = told.begin;
    this.duration = told.duration;
    this.kindOf = new Uint8Array(this.names.length);
    this.names.forEach((name, i) => { this.kindOf[i] = WAITS.test(name) ? WAIT : IDLES.test(name) ? IDLE : PLAIN; });
    this.nameNumber = new Map(this.names.map((name, i) => [name, i]));
    this.processes = told.processes.map((process, index) => ({
      index, pid: process.pid, recording: process.recording, program: this.names[process.program] || "",
      command: this.names[process.command] || "", counters: [], tracks: []}));
    this.tracks = told.tracks.map((track, index) => new Track(index, track, this.processes[track.process], this.names));
    this.marks = []; // rows of the recording
    for (const row of told.rows) {
      if (row.kind === "counter") this.processes[row.track].counters.push(row);
      else if (row.track === null) this.marks.push(row);
      else this.tracks[row.track].rows[row.kind][row.depth] = row;
    }
    for (const track of this.tracks) {
      for (const kind of Object.keys(track.rows)) track.rows[kind] = track.rows[kind].filter(row => row);
      track.process.tracks.push(track);
    }
    this.byThread = new Map();
    for (const track of this.tracks)
      this.byThread.set(`${track.process.recording}/${track.tid}`, track);
  }

  trackOf(recording, tid) { return this.byThread.get(`${recording}/${tid}`); }

  rowsOf(track) { return Object.values(track.rows).flat(); }

  get rows() { return this.told.rows; }

  /* Sums over a thread, once: what it did, how long it waited and ran. */
  sums(track) {
    if (track.sums) return track.sums;
    const sums = {items: 0, busy: 0, waited: 0, ran: 0, start: Infinity, end: -Infinity};
    for (const row of this.rowsOf(track)) {
      const level = row.exact;
      if (row.kind !== "lost") {
        sums.start = Math.min(sums.start, level.start[0]);
        sums.end = Math.max(sums.end, level.end[level.count - 1]);
      }
      for (let i = 0; i < level.count; i++) {
        const busy = Math.min(level.busyOf(i), level.end[i]); // from the begin of the page on
        if (row.kind === "span" || row.kind === "call") {
          sums.items += level.countOf(i);
          if (row.depth === 0 && row.kind === "span") sums.busy += busy;
          if (this.kindOf[level.name[i]] === WAIT && busy >= WAIT_LEAST) sums.waited += busy;
        } else if (row.kind === "sched") {
          const state = this.names[level.name[i]];
          if (state === "running") sums.ran += busy;
          if (state === "blocked") sums.waited += busy;
        } else if (row.kind !== "lost") {
          sums.items += level.countOf(i);
        }
      }
    }
    return track.sums = sums;
  }

  /* ---- who waited, and for whom ---------------------------------------------------------------- */

  /* By process and object: events that let others go on, in the order of time. */
  releases() {
    if (this.released) return this.released;
    const names = new Set(this.names.map((name, i) => RELEASES.has(name) ? i : -1).filter(i => i >= 0));
    const found = new Map();
    for (const track of this.tracks) {
      for (const row of track.rows.instant) {
        const level = row.exact;
        for (let i = 0; i < level.count; i++) {
          if (!names.has(level.name[i]) || level.countOf(i) > 1 || !level.first) continue;
          const key = `${track.process.index}/${smallValue(level.first, i)}`;
          if (!found.has(key)) found.set(key, []);
          found.get(key).push({time: level.start[i], track, row, i});
        }
      }
    }
    for (const list of found.values()) list.sort((a, b) => a.time - b.time);
    return this.released = found;
  }

  /* What the kernel says: who woke the thread last within this time. */
  wokenBy(track, from, to) {
    for (const row of track.rows.sched) {
      const level = row.exact;
      for (let i = level.findBefore(to); i >= 0 && level.end[i] >= from; i--) {
        const state = this.names[level.name[i]];
        const tid = smallValue(level.second, i);
        if (level.countOf(i) > 1 || !tid || state !== "sleeping" && state !== "blocked" || level.end[i] > to) continue;
        return {tid, track: this.trackOf(track.process.recording, tid), time: level.end[i], how: WOKEN};
      }
    }
    return null;
  }

  /* The last one that let go of what this call was waiting for, before it returned. */
  releasedBy(track, level, i) {
    const key = `${track.process.index}/${smallValue(level.first, i)}`, list = level.first && this.releases().get(key) || [];
    let low = 0, high = list.length;
    while (low < high) {
      const middle = low + high >>> 1;
      if (list[middle].time <= level.end[i]) low = middle + 1;
      else high = middle;
    }
    while (--low >= 0 && list[low].time >= level.start[i]) {
      const {track: other, time, row, i: index} = list[low];
      if (other !== track)
        return {tid: other.tid, track: other, time, row, i: index, how: this.names[row.exact.name[index]] + " of the same object"};
    }
    return null;
  }

  /* The thread that came last to a barrier, or that ended while this one waited for it to. */
  lastBefore(track, from, to, pick) {
    let found = null;
    for (const other of track.process.tracks) {
      if (other === track) continue;
      const time = pick(other, from, to);
      if (time !== null && (!found || time > found.time)) found = {tid: other.tid, track: other, time};
    }
    return found;
  }

  barrierEnd(track, level, i) {
    const object = smallValue(level.first, i), name = level.name[i];
    const found = this.lastBefore(track, level.start[i], level.end[i], (other, from, to) => {
      let last = null;
      for (const row of other.rows.span) {
        const there = row.exact;
        for (let k = there.findBefore(to); k >= 0 && there.start[k] >= from; k--) {
          if (there.name[k] === name && smallValue(there.first, k) === object) { last = Math.max(last ?? 0, there.start[k]); break; }
        }
      }
      return last;
    });
    return found && {...found, how: "came to the barrier last"};
  }

  threadEnd(track, level, i) {
    const exit = this.nameNumber.get("thread_exit");
    const found = this.lastBefore(track, level.start[i], level.end[i], (other, from, to) => {
      for (const row of other.rows.instant) {
        const there = row.exact;
        for (let k = there.findBefore(to); k >= 0 && there.start[k] >= from; k--)
          if (there.name[k] === exit) return there.start[k];
      }
      return null;
    });
    return found && {...found, how: "ended last before it returned"};
  }

  /* A call that ended with ETIMEDOUT. */
  timedOut(row, i) {
    return (row.kind === "span" || row.kind === "call") && row.exact.second !== null &&
      BigInt.asIntN(64, wideValue(row.exact.second, i)) === -110n;
  }

  /* Whom a thread waits for that waited already when it was attached to, or null: what its futex said, at the begin of the item. */
  heldBy(track, row, i) {
    const owner = this.nameNumber.get("futex.owner"), time = row.exact.start[i];
    for (const {exact: level} of owner === undefined ? [] : track.rows.instant) {
      for (let k = level.findBefore(time); k >= 0 && level.start[k] === time; k--) {
        if (level.name[k] !== owner) continue;
        const tid = smallValue(level.first, k);
        return {tid, track: this.trackOf(track.process.recording, tid)};
      }
    }
    return null;
  }

  /* Whom an item waited for, or null: {tid, track (undefined: not recorded), time, how}. */
  waitedFor(track, row, i) {
    const level = row.exact;
    if (level.countOf(i) > 1 || level.flagsOf(i) & OPEN_END || this.timedOut(row, i)) return null;
    if (row.kind === "sched") {
      const state = this.names[level.name[i]];
      const tid = state === "running" ? 0 : smallValue(level.second, i);
      if (!tid) return null;
      const time = state === "runnable" ? level.start[i] : level.end[i];
      return {tid, track: this.trackOf(track.process.recording, tid), time, how: WOKEN};
    }
    if (row.kind !== "span" && row.kind !== "call" || this.kindOf[level.name[i]] === PLAIN) return null;
    const name = this.names[level.name[i]].replace("syscall.", "");
    const woken = this.wokenBy(track, level.start[i], level.end[i]);
    if (woken || this.kindOf[level.name[i]] !== WAIT) return woken;
    if (name.includes("barrier")) return this.barrierEnd(track, level, i);
    if (name.includes("join")) return this.threadEnd(track, level, i);
    return this.releasedBy(track, level, i);
  }

  /* The longest waits that have a part in [from, to]. `wanted` says of which kinds: calls, sched, idle. */
  waits(tracks, from, to, wanted) {
    const found = [];
    let least = 0;
    const consider = (track, row, level, i) => {
      const length = level.end[i] - level.start[i];
      if (length < WAIT_LEAST || length <= least) return;
      found.push({track, row, i, duration: length});
      if (found.length >= 4 * WAITS_SHOWN) {
        found.sort((a, b) => b.duration - a.duration).length = WAITS_SHOWN;
        least = found[WAITS_SHOWN - 1].duration;
      }
    };
    for (const track of tracks) {
      for (const row of track.nested) {
        const level = row.exact;
        for (let i = level.findFrom(from); i < level.count && level.start[i] <= to; i++) {
          const kind = this.kindOf[level.name[i]];
          if ((kind === WAIT && wanted.calls || kind === IDLE && wanted.idle) && level.countOf(i) === 1)
            consider(track, row, level, i);
        }
      }
      for (const row of wanted.sched ? track.rows.sched : []) {
        const level = row.exact;
        for (let i = level.findFrom(from); i < level.count && level.start[i] <= to; i++)
          if (level.countOf(i) === 1 && this.names[level.name[i]] !== "running") consider(track, row, level, i);
      }
    }
    found.sort((a, b) => b.duration - a.duration);
    found.length = Math.min(found.length, WAITS_SHOWN);
    return found;
  }

  /* ---- where the time went --------------------------------------------------------------------- */

  /*
   * Nodes of a tree of calls, by number: the name, the node of the caller, and for each item of a row its node. Made once; a
   * range only adds up.
   */
  paths() {
    if (this.tree) return this.tree;
    const tree = {name: [0], parent: [-1], depth: [-1], children: [new Map()], of: new Map()};
    const child = (parent, name) => {
      let node = tree.children[parent].get(name);
      if (node === undefined) {
        node = tree.name.length;
        tree.name.push(name);
        tree.parent.push(parent);
        tree.depth.push(tree.depth[parent] + 1);
        tree.children.push(new Map());
        tree.children[parent].set(name, node);
      }
      return node;
    };
    for (const track of this.tracks) {
      for (const kind of ["span", "call"]) {
        let above = null, aboveNodes = null;
        for (const row of track.rows[kind]) {
          const level = row.exact, nodes = new Uint32Array(level.count);
          for (let i = 0, k = 0; i < level.count; i++) {
            let parent = 0;
            if (above) {
              while (k < above.count && above.end[k] < level.end[i]) k++;
              if (k < above.count && above.start[k] <= level.start[i]) parent = aboveNodes[k];
            }
            nodes[i] = child(parent, level.name[i]);
          }
          tree.of.set(row, nodes);
          above = level;
          aboveNodes = nodes;
        }
      }
    }
    return this.tree = tree;
  }

  /* What of [from, to] went into each node: total, self in ns, and how many of its calls began there. */
  flame(tracks, from, to) {
    const tree = this.paths(), total = new Float64Array(tree.name.length), count = new Float64Array(tree.name.length);
    for (const track of tracks) {
      for (const row of track.nested) {
        const level = row.exact, nodes = tree.of.get(row);
        for (let i = level.findFrom(from); i < level.count && level.start[i] <= to; i++) {
          const start = Math.max(level.start[i], from), end = Math.min(level.end[i], to), length = level.end[i] - level.start[i];
          total[nodes[i]] += length > 0 ? level.busyOf(i) * (end - start) / length : 0;
          if (level.start[i] >= from) count[nodes[i]] += level.countOf(i);
        }
      }
    }
    const self = total.slice();
    for (let node = 1; node < total.length; node++)
      if (tree.parent[node] > 0) self[tree.parent[node]] -= total[node];
    for (let node = 1; node < total.length; node++)
      if (tree.parent[node] === 0) total[0] += total[node];
    return {tree, total, self: self.map(value => Math.max(value, 0)), count};
  }

  /* The same by name: a function that calls itself counts once in its total. */
  functions(tracks, from, to) {
    const {tree, total, self, count} = this.flame(tracks, from, to), found = new Map();
    for (let node = 1; node < tree.name.length; node++) {
      if (!count[node] && !total[node]) continue;
      const name = tree.name[node];
      if (!found.has(name)) found.set(name, {name, total: 0, self: 0, count: 0});
      const sums = found.get(name);
      let outermost = true;
      for (let at = tree.parent[node]; at > 0 && outermost; at = tree.parent[at]) outermost = tree.name[at] !== name;
      if (outermost) sums.total += total[node];
      sums.self += self[node];
      sums.count += count[node];
    }
    return [...found.values()];
  }

  /* ---- details --------------------------------------------------------------------------------- */

  /* The time of an item that its direct children did not take; exact if everything around it is. */
  selfOf(track, row, i) {
    const level = row.exact, below = track.rows[row.kind].find(other => other.depth === row.depth + 1);
    let self = level.busyOf(i);
    if (!below) return self;
    const there = below.exact;
    for (let k = there.findFrom(level.start[i]); k < there.count && there.start[k] <= level.end[i]; k++)
      if (there.start[k] >= level.start[i] && there.end[k] <= level.end[i]) self -= there.busyOf(k);
    return Math.max(self, 0);
  }

  /* ---- search ---------------------------------------------------------------------------------- */

  /* Which names contain the text, whatever the case, and how many items have them. */
  search(text) {
    const wanted = text.toLowerCase(), found = new Uint8Array(this.names.length);
    let any = false, count = 0;
    this.names.forEach((name, i) => {
      found[i] = name.toLowerCase().includes(wanted) ? 1 : 0;
      any = any || found[i] === 1;
    });
    for (const row of any ? this.rows : []) {
      if (row.kind === "lost" || row.kind === "sched" || row.kind === "counter") continue;
      const level = row.exact;
      for (let i = 0; i < level.count; i++)
        if (found[level.name[i]]) count += level.countOf(i);
    }
    return {found, count, any};
  }

  /* The next item with such a name after (or before) an item of a track, in the order of time, then of tracks as they stand. */
  findMatch(found, tracks, at, forward) {
    const order = new Map(tracks.map((track, i) => [track, i]));
    const key = (track, row, i) => [row.exact.start[i], order.get(track), row.index];
    const less = (a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2];
    let best = null, bestKey = null;
    for (const track of tracks) {
      for (const row of [...track.rows.mark, ...track.rows.instant, ...track.nested]) {
        const level = row.exact, step = forward ? 1 : -1;
        let i = forward ? Math.max(level.findBefore(at ? at[0] - 1 : -1), 0) : level.findBefore(at ? at[0] : Infinity);
        for (; i >= 0 && i < level.count; i += step) {
          if (bestKey && (forward ? level.start[i] > bestKey[0] : level.start[i] < bestKey[0])) break;
          if (!found[level.name[i]]) continue;
          const here = key(track, row, i);
          if (at && (forward ? less(here, at) <= 0 : less(here, at) >= 0)) continue;
          if (!bestKey || (forward ? less(here, bestKey) < 0 : less(here, bestKey) > 0)) {
            best = {track, row, i};
            bestKey = here;
          }
          break;
        }
      }
    }
    return best && {...best, key: bestKey};
  }
}
