// Operators that move numbers, count them or sum them up.

const whole = (axis, rank) => (axis + rank) % rank;
const listed = (each) => Array.from(each.data);

function reshape([x, shape]) {
  const dims = listed(shape).map((size, axis) => (size === 0 ? x.dims[axis] : size));
  const open = dims.indexOf(-1);
  if (open >= 0) dims[open] = volume(x.dims) / -volume(dims);
  return [tensor(x.type, dims, x.data)];
}

function transpose([x], { perm }) {
  const order = perm || x.dims.map((_, axis) => x.dims.length - 1 - axis);
  const strides = stridesOf(x.dims);
  const made = tensor(x.type, order.map((axis) => x.dims[axis]));
  copyFrom(made, x.data, order.map((axis) => strides[axis]), 0);
  return [made];
}

// Fills a tensor with numbers that lie at strides from an offset.
function copyFrom(made, data, steps, offset) {
  const { dims, data: to } = made;
  const last = dims.length - 1;
  if (last < 0) {
    to[0] = data[offset];
    return;
  }
  const at = dims.map(() => 0);
  const step = steps[last];
  for (let o = 0, i = offset; o < to.length; o += dims[last]) {
    for (let k = 0, from = i; k < dims[last]; k++, from += step) to[o + k] = data[from];
    for (let axis = last - 1; axis >= 0; axis--) {
      i += steps[axis];
      if (++at[axis] < dims[axis]) break;
      i -= dims[axis] * steps[axis];
      at[axis] = 0;
    }
  }
}

function part(x, axis, start, count, step = 1) {
  const dims = x.dims.slice();
  dims[axis] = count;
  const strides = stridesOf(x.dims);
  const steps = strides.map((stride, each) => (each === axis ? stride * step : stride));
  const made = tensor(x.type, dims);
  copyFrom(made, x.data, steps, start * strides[axis]);
  return made;
}

function slice([x, starts, ends, axes, steps]) {
  let made = x;
  listed(starts).forEach((start, index) => {
    const axis = whole(axes ? axes.data[index] : index, x.dims.length);
    const step = steps ? steps.data[index] : 1;
    if (step < 1) throw new Error("Slice that runs backwards is not computed here");
    const size = x.dims[axis];
    const bound = (value) => Math.max(0, Math.min(size, value < 0 ? value + size : value));
    const [low, high] = [bound(start), bound(ends.data[index])];
    made = part(made, axis, low, Math.max(0, Math.ceil((high - low) / step)), step);
  });
  return [made];
}

function split([x, sizes], { axis = 0, num_outputs }, outputs) {
  const along = whole(axis, x.dims.length);
  const parts = num_outputs || outputs;
  const each = Math.ceil(x.dims[along] / parts);
  let start = 0;
  return Array.from({ length: outputs }, (_, index) => {
    const count = sizes ? sizes.data[index] : Math.min(each, x.dims[along] - start);
    start += count;
    return part(x, along, start - count, count);
  });
}

function concat(parts, { axis }) {
  const along = whole(axis, parts[0].dims.length);
  const dims = parts[0].dims.slice();
  dims[along] = parts.reduce((sum, each) => sum + each.dims[along], 0);
  const made = tensor(parts[0].type, dims);
  const outer = volume(dims.slice(0, along));
  const row = volume(dims.slice(along));
  let place = 0;
  for (const each of parts) {
    const wide = volume(each.dims.slice(along));
    for (let index = 0; index < outer; index++) {
      made.data.set(each.data.subarray(index * wide, (index + 1) * wide), index * row + place);
    }
    place += wide;
  }
  return [made];
}

function gatherRows([x, indices], { axis = 0 }) {
  const along = whole(axis, x.dims.length);
  const before = x.dims.slice(0, along);
  const behind = x.dims.slice(along + 1);
  const made = tensor(x.type, [...before, ...indices.dims, ...behind]);
  const wide = volume(behind);
  let place = 0;
  for (let outer = 0; outer < volume(before); outer++) {
    for (const index of indices.data) {
      const from = (outer * x.dims[along] + whole(index, x.dims[along])) * wide;
      made.data.set(x.data.subarray(from, from + wide), place);
      place += wide;
    }
  }
  return [made];
}

function scatter([x, indices, updates]) {
  if (indices.dims.at(-1) !== 1) throw new Error("ScatterND by more than rows is not computed here");
  const made = tensor(x.type, x.dims, x.data.slice());
  const wide = volume(x.dims.slice(1));
  indices.data.forEach((row, index) => {
    made.data.set(updates.data.subarray(index * wide, (index + 1) * wide), row * wide);
  });
  return [made];
}

function tile_([x, repeats]) {
  let made = x;
  listed(repeats).forEach((count, axis) => {
    if (count !== 1) [made] = concat(new Array(count).fill(made), { axis });
  });
  return [made];
}

function expand([x, shape]) {
  const made = tensor(x.type, broadcastDims(x.dims, listed(shape)));
  copyFrom(made, x.data, stepsFor(x.dims, made.dims), 0);
  return [made];
}

function pad([x, pads, value]) {
  const rank = x.dims.length;
  const amounts = listed(pads);
  if (Math.min(...amounts) < 0) throw new Error("Pad that cuts is not computed here");
  let made = x;
  for (let axis = 0; axis < rank; axis++) {
    const filled = (count) => {
      const dims = made.dims.map((size, each) => (each === axis ? count : size));
      const more = tensor(x.type, dims);
      more.data.fill(value ? value.data[0] : 0);
      return more;
    };
    [made] = concat([filled(amounts[axis]), made, filled(amounts[axis + rank])], { axis });
  }
  return [made];
}

function unsqueeze([x, axes], attributes) {
  const places = axes ? listed(axes) : attributes.axes;
  const rank = x.dims.length + places.length;
  const dims = x.dims.slice();
  for (const axis of places.map((each) => whole(each, rank)).sort((a, b) => a - b)) dims.splice(axis, 0, 1);
  return [tensor(x.type, dims, x.data)];
}

function squeeze([x, axes], attributes) {
  const given = axes ? listed(axes) : attributes.axes;
  const places = given && given.map((each) => whole(each, x.dims.length));
  const dims = x.dims.filter((size, axis) => (places ? !places.includes(axis) : size !== 1));
  return [tensor(x.type, dims, x.data)];
}

function nonZero([x]) {
  const found = [];
  x.data.forEach((value, index) => value && found.push(index));
  const strides = stridesOf(x.dims);
  const made = tensor("int64", [x.dims.length, found.length]);
  strides.forEach((stride, axis) => {
    found.forEach((index, place) => {
      made.data[axis * found.length + place] = Math.floor(index / stride) % x.dims[axis];
    });
  });
  return [made];
}

// The sum over axes, or the mean.
function reduce(mean) {
  return ([x, axes], attributes) => {
    const rank = x.dims.length;
    const given = axes ? listed(axes) : attributes.axes || x.dims.map((_, axis) => axis);
    const places = given.map((axis) => whole(axis, rank));
    const kept = x.dims.map((size, axis) => (places.includes(axis) ? 1 : size));
    const totals = room("totals", volume(kept)).fill(0, 0, volume(kept));
    overRows(x.dims, kept, x.dims, (o, i, di, j, dj, n) => {
      for (let k = 0; k < n; k++) totals[j + k * dj] += x.data[i + k * di];
    });
    const dims = attributes.keepdims === 0 ? kept.filter((_, axis) => !places.includes(axis)) : kept;
    const made = tensor(x.type, dims);
    const count = mean ? volume(x.dims) / volume(kept) : 1;
    for (let k = 0; k < made.data.length; k++) made.data[k] = totals[k] / count;
    return [made];
  };
}

function matMul([x, y]) {
  const [row, column] = [x.dims.length === 1, y.dims.length === 1];
  const left = row ? tensor(x.type, [1, ...x.dims], x.data) : x;
  const right = column ? tensor(y.type, [...y.dims, 1], y.data) : y;
  const lead = broadcastDims(left.dims.slice(0, -2), right.dims.slice(0, -2));
  const data = new Float32Array(volume(lead) * left.dims.at(-2) * right.dims.at(-1));
  const dims = product(left, right, 0, 0, (sums, count, place) => {
    for (let k = 0; k < count; k++) data[place + k] = sums[k];
  });
  const kept = dims.filter((_, axis) => !((row && axis === dims.length - 2) || (column && axis === dims.length - 1)));
  return [tensor("float32", kept, data)];
}

const shaping = {
  Concat: concat,
  Expand: expand,
  Gather: gatherRows,
  MatMul: matMul,
  NonZero: nonZero,
  Pad: pad,
  ReduceMean: reduce(true),
  ReduceSum: reduce(false),
  Reshape: reshape,
  ScatterND: scatter,
  Shape: ([x]) => [tensor("int64", [x.dims.length], Float64Array.from(x.dims))],
  Slice: slice,
  Split: split,
  Squeeze: squeeze,
  Tile: tile_,
  Transpose: transpose,
  Unsqueeze: unsqueeze,
};
