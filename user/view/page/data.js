/* SPDX-License-Identifier: MIT */
/*
 * The recording, as user/view/view_encode.h writes it: base 64 of deflated bytes, levels of rows first, then JSON that says where they are.
 *
 * Times are integers of nanoseconds since the begin of the page, in doubles: they are exact, as a page is of less than 2^52 ns. What counts
 * from the begin of the recording, or is 64 bits wide, is a BigInt.
 */
"use strict";

const HAS_COUNT = 1, HAS_FIRST = 2, HAS_SECOND = 4, HAS_FLAGS = 8, HAS_TEXT = 16; // VIEW_COLUMN_*
const OPEN_END = 1, UNWOUND = 2, UNSURE = 4, FLAG_FIRST = 8, FLAG_SECOND = 16; // VIEW_*

async function inflate(base64) {
  let bytes;
  if (Uint8Array.fromBase64) {
    bytes = Uint8Array.fromBase64(base64);
  } else {
    const text = atob(base64);
    bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  }
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/* Reads the columns of one level, one after the other. */
class Columns {
  constructor(bytes, offset) {
    this.bytes = bytes;
    this.at = offset;
  }

  /* One number that a double holds. */
  number() {
    const bytes = this.bytes;
    let byte = bytes[this.at++], value = byte & 127;
    for (let factor = 128; byte > 127; factor *= 128) {
      byte = bytes[this.at++];
      value += (byte & 127) * factor;
    }
    return value;
  }

  numbers(array) {
    for (let i = 0; i < array.length; i++) array[i] = this.number();
    return array;
  }

  /* All 64 bits of each, as two halves. */
  wide(count) {
    const low = new Uint32Array(count), high = new Uint32Array(count), bytes = this.bytes;
    for (let i = 0; i < count; i++) {
      let byte;
      for (let shift = 0; ; shift += 7) {
        byte = bytes[this.at++];
        const bits = byte & 127;
        if (shift < 32) low[i] |= bits << shift;
        if (shift === 28) high[i] |= bits >> 4;
        else if (shift > 28) high[i] |= bits << shift - 32;
        if (byte < 128) break;
      }
    }
    return {low, high};
  }
}

const wideValue = (wide, i) => wide ? BigInt(wide.high[i]) << 32n | BigInt(wide.low[i]) : 0n;
/* The same where a double is enough: thread ids, CPUs, counts. */
const smallValue = (wide, i) => wide ? wide.high[i] * 4294967296 + wide.low[i] : 0;

class Level {
  constructor([resolution, offset, count, has]) {
    this.resolution = resolution;
    this.offset = offset;
    this.count = count;
    this.has = has;
    this.decoded = false;
  }

  decode(bytes) {
    const {count, has} = this, columns = new Columns(bytes, this.offset);
    this.start = new Float64Array(count);
    this.end = new Float64Array(count);
    columns.numbers(this.start); // so far the gaps before them
    const durations = columns.numbers(new Float64Array(count));
    for (let i = 0, end = 0; i < count; i++) {
      const gap = this.start[i];
      this.start[i] = end + (gap % 2 ? -(gap + 1) / 2 : gap / 2);
      end = this.end[i] = this.start[i] + durations[i];
    }
    this.name = columns.numbers(new Uint32Array(count));
    this.items = has & HAS_COUNT ? columns.numbers(new Uint32Array(count)) : null;
    this.gaps = has & HAS_COUNT ? columns.numbers(new Float64Array(count)) : null;
    this.first = has & HAS_FIRST ? columns.wide(count) : null;
    this.second = has & HAS_SECOND ? columns.wide(count) : null;
    this.flags = has & HAS_FLAGS ? columns.numbers(new Uint8Array(count)) : null;
    this.text = has & HAS_TEXT ? columns.numbers(new Uint32Array(count)) : null;
    this.decoded = true;
    return this;
  }

  /* How many an item stands for, and how much of its time they took. */
  countOf(i) { return this.items ? this.items[i] : 1; }
  busyOf(i) { return this.end[i] - this.start[i] - (this.gaps ? this.gaps[i] : 0); }
  flagsOf(i) { return this.flags ? this.flags[i] : 0; }

  /* The first item that ends at or after `time`. */
  findFrom(time) {
    let low = 0, high = this.count;
    while (low < high) {
      const middle = low + high >>> 1;
      if (this.end[middle] < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /* The last item that starts at or before `time`, or -1. */
  findBefore(time) {
    let low = 0, high = this.count;
    while (low < high) {
      const middle = low + high >>> 1;
      if (this.start[middle] <= time) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

class Row {
  constructor(bytes, index, {kind, track, depth, levels}) {
    this.bytes = bytes;
    this.index = index;
    this.kind = kind;
    this.track = track;
    this.depth = depth;
    this.levels = levels.map(level => new Level(level));
  }

  decoded(level) { return level.decoded ? level : level.decode(this.bytes); }

  /* As fine as the recording is here. */
  get exact() { return this.decoded(this.levels[0]); }

  /* The coarsest level whose items are not wider than `ns`. */
  levelFor(ns) {
    let found = this.levels[0];
    for (const level of this.levels)
      if (level.resolution <= ns) found = level;
    return this.decoded(found);
  }
}

async function readRecording(base64) {
  const bytes = await inflate(base64);
  const size = new DataView(bytes.buffer).getUint32(bytes.length - 4, true);
  const told = JSON.parse(new TextDecoder().decode(bytes.subarray(bytes.length - 4 - size, bytes.length - 4)));
  told.begin = BigInt(told.begin);
  told.realtime = BigInt(told.realtime);
  told.rows = told.rows.map((row, index) => new Row(bytes, index, row));
  return told;
}
