// Operators on eight-bit levels, each with the arithmetic of ONNX Runtime's own: which products are
// of float32 and in which order decides where a tie falls.

const scalar = (each) => each.data[0];

// What a level of a result may be.
function levelsOf(zero) {
  const [low, high] = limits[zero.type];
  return { low, high, zero: scalar(zero), type: zero.type };
}

// Sums of products, int32 in ONNX Runtime -> levels: as float32 times a float32 multiplier.
function requantise(sums, count, multiplier, levels, bias, put) {
  const low = levels.low - levels.zero;
  const high = levels.high - levels.zero;
  for (let index = 0; index < count; index++) {
    const value = f(f(sums[index] + bias) * multiplier);
    put(index, round(value < low ? low : value > high ? high : value) + levels.zero);
  }
}

function quantise([x, scale, zero]) {
  if (scale.data.length > 1) throw new Error("QuantizeLinear with a scale each is not computed here");
  const { low, high, zero: middle, type } = zero ? levelsOf(zero) : { low: 0, high: 255, zero: 0, type: "uint8" };
  const made = tensor(type, x.dims);
  const step = scalar(scale);
  for (let k = 0; k < made.data.length; k++) {
    const level = round(f(x.data[k] / step)) + middle;
    made.data[k] = level < low ? low : level > high ? high : level;
  }
  return [made];
}

function dequantise([x, scale, zero], { axis = 1 }) {
  const made = tensor("float32", x.dims);
  const each = scale.data.length > 1;
  const inner = each ? volume(x.dims.slice((axis + x.dims.length) % x.dims.length + 1)) : 1;
  for (let k = 0; k < made.data.length; k++) {
    const channel = each ? Math.floor(k / inner) % scale.data.length : 0;
    made.data[k] = (x.data[k] - (zero ? zero.data[each ? channel : 0] : 0)) * scale.data[channel];
  }
  return [made];
}

// All 256 results of a function of one level, by that level.
function tableOf(scale, zero, levels, step, each) {
  const low = limits[zero.type][0];
  const table = new Float64Array(256);
  for (let index = 0; index < 256; index++) {
    const value = each(f(f(scale) * (index + low - scalar(zero))));
    const level = round(f(f(value) / step)) + levels.zero;
    table[index] = Math.max(levels.low, Math.min(levels.high, level));
  }
  return table;
}

function looked(table, x, to, start = 0) {
  const low = limits[x.type][0];
  for (let k = 0; k < x.data.length; k++) to[start + k] = table[x.data[k] - low];
}

function qSigmoid([x, xScale, xZero, scale, zero]) {
  const levels = levelsOf(zero);
  const made = tensor(levels.type, x.dims);
  looked(tableOf(scalar(xScale), xZero, levels, scalar(scale), sigmoid), x, made.data);
  return [made];
}

function qConcat([scale, zero, ...parts], attributes) {
  const levels = levelsOf(zero);
  const turned = [];
  for (let index = 0; index < parts.length; index += 3) {
    const [x, xScale, xZero] = parts.slice(index, index + 3);
    const made = tensor(levels.type, x.dims);
    looked(tableOf(scalar(xScale), xZero, levels, scalar(scale), (value) => value), x, made.data);
    turned.push(made);
  }
  return shaping.Concat(turned, attributes);
}

function qBinary(row) {
  return ([x, xScale, xZero, y, yScale, yZero, scale, zero]) => {
    const levels = levelsOf(zero);
    const made = tensor(levels.type, broadcastDims(x.dims, y.dims));
    const sides = { x: [scalar(xScale), scalar(xZero)], y: [scalar(yScale), scalar(yZero)] };
    const loop = row(made.data, x.data, y.data, sides, scalar(scale), levels);
    overRows(x.dims, y.dims, made.dims, loop);
    return [made];
  };
}

function qAdding(out, x, y, sides, scale, { zero, low, high }) {
  const a = f(sides.x[0] / scale);
  const b = f(sides.y[0] / scale);
  const fixed = f(zero - f(f(a * sides.x[1]) + f(b * sides.y[1])));
  return (o, i, di, j, dj, n) => {
    for (let k = 0; k < n; k++) {
      // Two fused products and sums, each rounded once.
      const value = round(f(x[i + k * di] * a + f(y[j + k * dj] * b + fixed)));
      out[o + k] = value < low ? low : value > high ? high : value;
    }
  };
}

function qMultiplying(out, x, y, sides, scale, { zero, low, high }) {
  const [[xScale, xZero], [yScale, yZero]] = [sides.x, sides.y];
  return (o, i, di, j, dj, n) => {
    for (let k = 0; k < n; k++) {
      const both = f(f(xScale * (x[i + k * di] - xZero)) * f(yScale * (y[j + k * dj] - yZero)));
      const value = round(f(both / scale)) + zero;
      out[o + k] = value < low ? low : value > high ? high : value;
    }
  };
}

function qProduct([x, xScale, xZero, y, yScale, yZero, scale, zero]) {
  const levels = levelsOf(zero);
  const dims = [...broadcastDims(x.dims.slice(0, -2), y.dims.slice(0, -2)), x.dims.at(-2), y.dims.at(-1)];
  const made = tensor(levels.type, dims);
  if (xScale.data.length > 1) throw new Error("QLinearMatMul with a scale each is not computed here");
  const multiplier = f(f(scalar(xScale) * scalar(yScale)) / scalar(scale));
  product(x, y, scalar(xZero), scalar(yZero), (sums, count, place) => {
    requantise(sums, count, multiplier, levels, 0, (index, level) => {
      made.data[place + index] = level;
    });
  });
  return [made];
}

// (N, H, W, C) -> (N, 1, 1, C), of every image.
function qPool([x, xScale, xZero, scale, zero]) {
  const [N, H, W, C] = x.dims;
  const levels = levelsOf(zero);
  const made = tensor(levels.type, [N, 1, 1, C]);
  const multiplier = f(scalar(xScale) / f(scalar(scale) * (H * W)));
  const totals = room("totals", C);
  for (let n = 0; n < N; n++) {
    totals.fill(-scalar(xZero) * H * W, 0, C);
    for (let place = 0, k = n * H * W * C; place < H * W; place++) {
      for (let c = 0; c < C; c++, k++) totals[c] += x.data[k];
    }
    requantise(totals, C, multiplier, levels, 0, (c, level) => {
      made.data[n * C + c] = level;
    });
  }
  return [made];
}

const integers = {
  DequantizeLinear: dequantise,
  QLinearAdd: qBinary(qAdding),
  QLinearConcat: qConcat,
  QLinearGlobalAveragePool: qPool,
  QLinearMatMul: qProduct,
  QLinearMul: qBinary(qMultiplying),
  QLinearSigmoid: qSigmoid,
  QuantizeLinear: quantise,
};
