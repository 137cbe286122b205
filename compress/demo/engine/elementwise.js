// Operators that take numbers one by one, with axes that repeat (broadcasting).

function broadcastDims(x, y) {
  const rank = Math.max(x.length, y.length);
  return Array.from({ length: rank }, (_, axis) => {
    const a = x[axis - rank + x.length] ?? 1;
    const b = y[axis - rank + y.length] ?? 1;
    if (a !== b && a !== 1 && b !== 1) throw new Error(`shapes ${x} and ${y} do not fit`);
    return a === 1 ? b : a;
  });
}

// Strides of dims seen as wider ones: 0 along axes that repeat.
function stepsFor(dims, wide) {
  const strides = stridesOf(dims);
  return wide.map((_, axis) => {
    const own = axis - wide.length + dims.length;
    return own < 0 || dims[own] === 1 ? 0 : strides[own];
  });
}

// Calls row(o, i, di, j, dj, n) for every run of n results from o: of x from i in steps of di, of y
// from j in steps of dj.
function overRows(xDims, yDims, dims, row) {
  const axes = [];
  const [xs, ys] = [stepsFor(xDims, dims), stepsFor(yDims, dims)];
  dims.forEach((size, axis) => {
    if (size === 1) return;
    const last = axes[axes.length - 1];
    // Two axes that follow each other in both are one.
    if (last && last.x === size * xs[axis] && last.y === size * ys[axis]) {
      Object.assign(last, { size: last.size * size, x: xs[axis], y: ys[axis] });
    } else axes.push({ size, x: xs[axis], y: ys[axis] });
  });
  const inner = axes.pop() || { size: 1, x: 0, y: 0 };
  const total = volume(dims);
  const at = axes.map(() => 0);
  for (let o = 0, i = 0, j = 0; o < total; o += inner.size) {
    row(o, i, inner.x, j, inner.y, inner.size);
    for (let axis = axes.length - 1; axis >= 0; axis--) {
      i += axes[axis].x;
      j += axes[axis].y;
      if (++at[axis] < axes[axis].size) break;
      i -= axes[axis].size * axes[axis].x;
      j -= axes[axis].size * axes[axis].y;
      at[axis] = 0;
    }
  }
}

// `loop` makes of the three arrays what `overRows` calls: a loop of its own for every operator, which
// a JavaScript engine compiles into one without calls.
function binary(loop, type) {
  return ([x, y]) => {
    const made = tensor(type || x.type, broadcastDims(x.dims, y.dims));
    overRows(x.dims, y.dims, made.dims, loop(made.data, x.data, y.data));
    return [made];
  };
}

const adding = (out, x, y) => (o, i, di, j, dj, n) => {
  for (let k = 0; k < n; k++) out[o + k] = x[i + k * di] + y[j + k * dj];
};
const subtracting = (out, x, y) => (o, i, di, j, dj, n) => {
  for (let k = 0; k < n; k++) out[o + k] = x[i + k * di] - y[j + k * dj];
};
const multiplying = (out, x, y) => (o, i, di, j, dj, n) => {
  for (let k = 0; k < n; k++) out[o + k] = x[i + k * di] * y[j + k * dj];
};
const comparing = (out, x, y) => (o, i, di, j, dj, n) => {
  for (let k = 0; k < n; k++) out[o + k] = x[i + k * di] === y[j + k * dj] ? 1 : 0;
};
const either = (out, x, y) => (o, i, di, j, dj, n) => {
  for (let k = 0; k < n; k++) out[o + k] = x[i + k * di] | y[j + k * dj];
};

function unary(each) {
  return ([x]) => {
    const made = tensor(x.type, x.dims);
    for (let k = 0; k < made.data.length; k++) made.data[k] = each(x.data[k]);
    return [made];
  };
}

const f = Math.fround;

// ONNX Runtime computes both by a quotient of polynomials in float32, each product and sum rounded at
// once (the coefficients are Eigen's). Math.tanh is nearer to the truth, and so moves levels: one
// class of a hundred clips was another with it.
const TANH = {
  end: 9,
  over: [-2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11, 5.12229709037114e-8, 1.48572235717979e-5, 6.37261928875436e-4, 4.89352455891786e-3],
  under: [1.19825839466702e-6, 1.18534705686654e-4, 2.268434632439e-3, 4.89352518554385e-3],
};
const LOGISTIC = {
  end: 18,
  over: [4.37031012579801e-11, 1.15627324459942e-7, 6.08574864600143e-5, 8.51377133304701e-3, 2.48287947061529e-1],
  under: [6.10247389755681e-13, 5.76102136993427e-9, 6.2910678501704e-6, 1.70198817374094e-3, 1.16817656904453e-1, 9.9315192102318e-1],
};
for (const each of [TANH, LOGISTIC]) for (const key of ["over", "under"]) each[key] = each[key].map(f);

const polynomial = (coefficients, x) => {
  let sum = coefficients[0];
  for (let k = 1; k < coefficients.length; k++) sum = f(sum * x + coefficients[k]);
  return sum;
};
const quotient = ({ end, over, under }, value) => {
  const x = value < -end ? -end : value > end ? end : value;
  const square = f(x * x);
  return f(f(polynomial(over, square) * x) / polynomial(under, square));
};
const tanh = (x) => quotient(TANH, x);
const sigmoid = (x) => Math.max(0, Math.min(1, f(quotient(LOGISTIC, x) + 0.5)));
const hardSigmoid = (x, alpha, beta) => Math.max(0, Math.min(1, f(f(alpha * x) + beta)));

function relu([x]) {
  const made = tensor(x.type, x.dims);
  const [from, to] = [x.data, made.data];
  for (let k = 0; k < to.length; k++) to[k] = from[k] > 0 ? from[k] : 0;
  return [made];
}

function cast([x], { to }) {
  const type = { 1: "float32", 2: "uint8", 3: "int8", 6: "int32", 7: "int64", 9: "bool" }[to];
  if (!type) throw new Error(`Cast to the type ${to} of ONNX is not computed here`);
  return [tensor(type, x.dims, arrays[type].from(x.data))];
}

const elementwise = {
  Abs: unary(Math.abs),
  Add: binary(adding),
  Cast: cast,
  Equal: binary(comparing, "bool"),
  HardSigmoid: ([x], { alpha = 0.2, beta = 0.5 }) =>
    unary((value) => hardSigmoid(value, f(alpha), f(beta)))([x]),
  HardSwish: unary((x) => x * hardSigmoid(x, f(1 / 6), 0.5)),
  Mul: binary(multiplying),
  Not: unary((x) => (x ? 0 : 1)),
  Or: binary(either, "bool"),
  Relu: relu,
  Sigmoid: unary(sigmoid),
  Sub: binary(subtracting),
  Tanh: unary(tanh),
};
