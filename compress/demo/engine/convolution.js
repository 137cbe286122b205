// Convolutions and pooling over maps that lie channels-first (N, C, H, W) or channels-last
// (N, H, W, C).

// {N, C, H, W} of a map, and how far apart neighbours along each lie.
function mapOf(dims, last) {
  const [N, a, b, c] = dims;
  const [C, H, W] = last ? [c, a, b] : [a, b, c];
  const s = stridesOf(dims);
  return { N, C, H, W, n: s[0], c: last ? s[3] : s[1], h: last ? s[1] : s[2], w: last ? s[2] : s[3] };
}

const mapDims = (N, C, H, W, last) => (last ? [N, H, W, C] : [N, C, H, W]);

// Where a window of a kernel lies in a map.
function windowOf(map, kernel, attributes) {
  const [strides, dilations] = [attributes.strides || [1, 1], attributes.dilations || [1, 1]];
  const pads = attributes.pads || [0, 0, 0, 0];
  const size = (axis, length) =>
    Math.floor((length + pads[axis] + pads[axis + 2] - dilations[axis] * (kernel[axis] - 1) - 1) / strides[axis]) + 1;
  return { kernel, strides, dilations, pads, H: size(0, map.H), W: size(1, map.W) };
}

// The place in a map that place (i, j) of the kernel meets at a result (row, column); -1 beyond.
function met(map, window, row, column, i, j) {
  const h = row * window.strides[0] - window.pads[0] + i * window.dilations[0];
  const w = column * window.strides[1] - window.pads[1] + j * window.dilations[1];
  return h < 0 || h >= map.H || w < 0 || w >= map.W ? -1 : h * map.h + w * map.w;
}

// Weights (out, in / groups, kernel) as panels, of every group; made once.
const packedWeights = new WeakMap();
function panelsOf(weight, groups) {
  if (packedWeights.has(weight)) return packedWeights.get(weight);
  const [out, inside, height, width] = weight.dims;
  const places = height * width;
  const depth = inside * places;
  const rows = out / groups;
  // Places in front of channels, as `gather` lies.
  const turned = new Float64Array(out * depth);
  for (let row = 0; row < out; row++) {
    for (let c = 0; c < inside; c++) {
      for (let place = 0; place < places; place++) {
        turned[row * depth + place * inside + c] = weight.data[(row * inside + c) * places + place];
      }
    }
  }
  const made = Array.from({ length: groups }, (_, group) => {
    const target = new Float64Array(panels(rows, ROWS) * depth);
    pack(target, turned, group * rows * depth, rows, depth, depth, 1, ROWS, 0);
    return target;
  });
  packedWeights.set(weight, made);
  return made;
}

// Panels of what the kernel meets at results from `start` to `stop` of an image.
function gather(target, data, offset, map, window, inside, start, stop, zero) {
  const [height, width] = window.kernel;
  const depth = inside * height * width;
  const step = map.c;
  for (let place = start; place < stop; place++) {
    const lane = (place - start) % COLUMNS;
    let to = (place - start - lane) * depth + lane;
    const row = Math.floor(place / window.W);
    const column = place - row * window.W;
    for (let i = 0; i < height; i++) {
      for (let j = 0; j < width; j++) {
        let from = met(map, window, row, column, i, j);
        if (from < 0) {
          for (let c = 0; c < inside; c++, to += COLUMNS) target[to] = 0;
        } else {
          from += offset;
          for (let c = 0; c < inside; c++, to += COLUMNS, from += step) target[to] = data[from] - zero;
        }
      }
    }
  }
}

// Calls finish(sums, count, channel, place in the result, step there) for runs of one channel.
function convolve(x, weight, attributes, last, zero, make, finish) {
  const groups = attributes.group || 1;
  const map = mapOf(x.dims, last);
  const window = windowOf(map, weight.dims.slice(2), attributes);
  const [out, inside] = weight.dims;
  const made = make(mapDims(map.N, out, window.H, window.W, last));
  const to = mapOf(made.dims, last);
  // A place in an image by its number: rows of either form follow each other.
  const step = to.w;
  if (inside === 1 && out === groups) {
    eachAlone(x, weight, map, window, zero, to, step, (...all) => finish(made, ...all));
    return [made];
  }
  const depth = inside * window.kernel[0] * window.kernel[1];
  const rows = out / groups;
  const places = window.H * window.W;
  const wide = Math.max(COLUMNS, Math.min(panels(places, COLUMNS), Math.floor(BLOCK / depth / COLUMNS) * COLUMNS));
  const right = room("right", wide * depth);
  const result = room("result", rows * wide);
  const left = panelsOf(weight, groups);
  for (let n = 0; n < map.N; n++) {
    for (let group = 0; group < groups; group++) {
      const offset = n * map.n + group * inside * map.c;
      for (let start = 0; start < places; start += wide) {
        const stop = Math.min(start + wide, places);
        const columns = stop - start;
        // What is left of the last panel from an earlier block only makes sums that nobody reads.
        gather(right, x.data, offset, map, window, inside, start, stop, zero);
        multiply(left[group], 0, rows, right, columns, depth, result);
        for (let row = 0; row < rows; row++) {
          const channel = group * rows + row;
          const sums = result.subarray(row * columns, (row + 1) * columns);
          finish(made, sums, columns, channel, n * to.n + channel * to.c + start * step, step);
        }
      }
    }
  }
  return [made];
}

// Every channel by itself (depthwise): too little for panels.
function eachAlone(x, weight, map, window, zero, to, step, finish) {
  const [height, width] = window.kernel;
  const places = window.H * window.W;
  const result = room("result", places);
  const channels = weight.dims[0];
  const from = new Int32Array(places * height * width);
  for (let place = 0, k = 0; place < places; place++) {
    const row = Math.floor(place / window.W);
    for (let i = 0; i < height; i++) {
      for (let j = 0; j < width; j++) from[k++] = met(map, window, row, place % window.W, i, j);
    }
  }
  const count = height * width;
  for (let n = 0; n < map.N; n++) {
    for (let c = 0; c < channels; c++) {
      const offset = n * map.n + c * map.c;
      for (let place = 0, k = 0; place < places; place++) {
        let sum = 0;
        for (let each = 0; each < count; each++, k++) {
          if (from[k] >= 0) sum += weight.data[c * count + each] * (x.data[offset + from[k]] - zero);
        }
        result[place] = sum;
      }
      finish(result, places, c, n * to.n + c * to.c, step);
    }
  }
}

function conv([x, weight, bias], attributes) {
  const make = (dims) => tensor("float32", dims);
  return convolve(x, weight, attributes, false, 0, make, (made, sums, count, channel, place, step) => {
    const add = bias ? bias.data[channel] : 0;
    for (let k = 0; k < count; k++, place += step) made.data[place] = sums[k] + add;
  });
}

function qConv([x, xScale, xZero, weight, scales, , scale, zero, bias], attributes) {
  const levels = levelsOf(zero);
  const make = (dims) => tensor(levels.type, dims);
  const each = scales.data.length > 1;
  const finish = (made, sums, count, channel, place, step) => {
    const multiplier = f(f(scalar(xScale) * scales.data[each ? channel : 0]) / scalar(scale));
    requantise(sums, count, multiplier, levels, bias ? bias.data[channel] : 0, (k, level) => {
      made.data[place + k * step] = level;
    });
  };
  return convolve(x, weight, attributes, Boolean(attributes.channels_last), scalar(xZero), make, finish);
}

function maxPool(last) {
  return ([x], attributes) => {
    if (attributes.ceil_mode) throw new Error("MaxPool that rounds sizes up is not computed here");
    const map = mapOf(x.dims, last);
    const window = windowOf(map, attributes.kernel_shape, attributes);
    const made = tensor(x.type, mapDims(map.N, map.C, window.H, window.W, last));
    const to = mapOf(made.dims, last);
    for (let row = 0; row < window.H; row++) {
      for (let column = 0; column < window.W; column++) {
        const met_ = [];
        for (let i = 0; i < window.kernel[0]; i++) {
          for (let j = 0; j < window.kernel[1]; j++) met_.push(met(map, window, row, column, i, j));
        }
        const from = met_.filter((place) => place >= 0);
        for (let n = 0; n < map.N; n++) {
          for (let c = 0; c < map.C; c++) {
            let largest = -Infinity;
            const offset = n * map.n + c * map.c;
            for (const place of from) largest = Math.max(largest, x.data[offset + place]);
            made.data[n * to.n + c * to.c + row * to.h + column * to.w] = largest;
          }
        }
      }
    }
    return [made];
  };
}

const convolutions = {
  Conv: conv,
  MaxPool: maxPool(false),
  NhwcMaxPool: maxPool(true),
  QLinearConv: qConv,
};
