// Products of matrices, of floats and of integers alike: in doubles, in which every integer up to
// 2^53 has a place, so that sums of eight-bit products are exact. In V8 it is also faster than
// Math.imul, which has half as many registers to keep sums in.

// Of a tile of the result: its twelve sums, and the numbers that make them, fit into 16 registers.
const ROWS = 4;
const COLUMNS = 3;
// Numbers of a block of columns: 256 kB, which stay in a processor's cache for all rows.
const BLOCK = 32768;

// A matrix (count, depth) at strides -> panels of `wide` rows, each depth by depth, zeros beyond.
function pack(target, data, offset, count, depth, stride, step, wide, zero) {
  let place = 0;
  for (let first = 0; first < count; first += wide) {
    for (let lane = 0; lane < wide; lane++) {
      let to = place + lane;
      if (first + lane < count) {
        let from = offset + (first + lane) * stride;
        for (let k = 0; k < depth; k++, to += wide, from += step) target[to] = data[from] - zero;
      } else {
        for (let k = 0; k < depth; k++, to += wide) target[to] = 0;
      }
    }
    place += wide * depth;
  }
}

const panels = (count, wide) => Math.ceil(count / wide) * wide;

// What a tile at the edge of the result leaves over.
const sums = new Float64Array(ROWS * COLUMNS);

// Panels of `rows` rows from `a` times panels of `columns` columns -> result (rows, columns). One
// function on purpose: V8 does not put so long a one into its callers, where it ran at 0.8 to 1.3 GMAC
// a second instead of 1.6, for want of registers.
function multiply(left, a, rows, right, columns, depth, result) {
  for (let row = 0; row < rows; row += ROWS, a += ROWS * depth) {
    let b = 0;
    for (let column = 0; column < columns; column += COLUMNS) {
      let s00 = 0, s01 = 0, s02 = 0;
      let s10 = 0, s11 = 0, s12 = 0;
      let s20 = 0, s21 = 0, s22 = 0;
      let s30 = 0, s31 = 0, s32 = 0;
      const stop = a + ROWS * depth;
      for (let i = a; i < stop; i += ROWS, b += COLUMNS) {
        const b0 = right[b], b1 = right[b + 1], b2 = right[b + 2];
        const a0 = left[i];
        s00 += a0 * b0; s01 += a0 * b1; s02 += a0 * b2;
        const a1 = left[i + 1];
        s10 += a1 * b0; s11 += a1 * b1; s12 += a1 * b2;
        const a2 = left[i + 2];
        s20 += a2 * b0; s21 += a2 * b1; s22 += a2 * b2;
        const a3 = left[i + 3];
        s30 += a3 * b0; s31 += a3 * b1; s32 += a3 * b2;
      }
      let to = row * columns + column;
      if (row + ROWS <= rows && column + COLUMNS <= columns) {
        result[to] = s00; result[to + 1] = s01; result[to + 2] = s02;
        to += columns;
        result[to] = s10; result[to + 1] = s11; result[to + 2] = s12;
        to += columns;
        result[to] = s20; result[to + 1] = s21; result[to + 2] = s22;
        to += columns;
        result[to] = s30; result[to + 1] = s31; result[to + 2] = s32;
        continue;
      }
      sums[0] = s00; sums[1] = s01; sums[2] = s02;
      sums[3] = s10; sums[4] = s11; sums[5] = s12;
      sums[6] = s20; sums[7] = s21; sums[8] = s22;
      sums[9] = s30; sums[10] = s31; sums[11] = s32;
      const high = Math.min(ROWS, rows - row);
      const wide = Math.min(COLUMNS, columns - column);
      for (let i = 0; i < high; i++) {
        for (let j = 0; j < wide; j++) result[to + i * columns + j] = sums[i * COLUMNS + j];
      }
    }
  }
}

// Rooms that grow and are used again: a network asks for the same sizes in every run.
const rooms = {};
function room(name, size) {
  if (!rooms[name] || rooms[name].length < size) rooms[name] = new Float64Array(size);
  return rooms[name];
}

// (..., R, K) times (..., K, C), with leading axes that repeat -> calls finish(sums, R, C, place of
// the result) for every pair of matrices; returns the result's dims. Zeros are levels that mean 0.
function product(x, y, xZero, yZero, finish) {
  const [xDims, yDims] = [x.dims.slice(), y.dims.slice()];
  const [R, K] = xDims.splice(-2);
  const C = yDims.splice(-2)[1];
  const lead = broadcastDims(xDims, yDims);
  const [xSteps, ySteps] = [stepsFor(xDims, lead), stepsFor(yDims, lead)];
  const left = room("left", panels(R, ROWS) * K);
  const right = room("right", panels(C, COLUMNS) * K);
  const result = room("result", R * C);
  let [xPacked, yPacked] = [-1, -1];
  const count = volume(lead);
  for (let index = 0; index < count; index++) {
    let [from, to, rest] = [0, 0, index];
    for (let axis = lead.length - 1; axis >= 0; axis--) {
      const at = rest % lead[axis];
      from += at * xSteps[axis];
      to += at * ySteps[axis];
      rest = (rest - at) / lead[axis];
    }
    if (from !== xPacked) pack(left, x.data, from * R * K, R, K, K, 1, ROWS, xZero);
    if (to !== yPacked) pack(right, y.data, to * K * C, C, K, 1, C, COLUMNS, yZero);
    [xPacked, yPacked] = [from, to];
    multiply(left, 0, R, right, C, K, result);
    finish(result, R * C, index * R * C);
  }
  return [...lead, R, C];
}
