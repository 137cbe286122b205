// Numbers as the files store them, and rounding as ONNX Runtime does it.

// Adding and taking away 1.5 * 2^52 leaves a double no room for a fraction: the machine rounds half
// to even, as ONNX Runtime does and Math.round does not.
const ROUNDER = 6755399441055744;
const round = (value) => value + ROUNDER - ROUNDER;

// A Uint8ClampedArray rounds half to even, too, but holds no int8.
const limits = { uint8: [0, 255], int8: [-128, 127] };

// IEEE half -> number.
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

// Two in a byte, the first in the low half, as ONNX lays int4 out.
function nibbles(bytes, count) {
  const values = new Int8Array(count);
  for (let index = 0; index < count; index++) {
    const four = (bytes[index >> 1] >> (4 * (index & 1))) & 15;
    values[index] = four > 7 ? four - 16 : four;
  }
  return values;
}

// Sizes and indices are few and below 2^53: int64 is kept in doubles.
const arrays = {
  float32: Float32Array,
  uint8: Uint8Array,
  int8: Int8Array,
  int32: Int32Array,
  int64: Float64Array,
  bool: Uint8Array,
};

const volume = (dims) => dims.reduce((product, size) => product * size, 1);

function tensor(type, dims, data) {
  return { type, dims, data: data || new arrays[type](volume(dims)) };
}

// A stored constant -> a tensor of a type that is computed with; see `compress/demo/graph.py`.
function stored({ type, dims, at, values }, buffer) {
  const count = volume(dims);
  if (values) return tensor(type, dims, arrays[type].from(values));
  if (type === "float16") {
    const bits = new Uint16Array(buffer, at, count);
    return tensor("float32", dims, Float32Array.from(bits, half));
  }
  if (type === "int4") {
    const bytes = new Uint8Array(buffer, at, (count + 1) >> 1);
    return tensor("int8", dims, nibbles(bytes, count));
  }
  return tensor(type, dims, new arrays[type](buffer, at, count));
}

// How far apart neighbours of each axis lie.
function stridesOf(dims) {
  const strides = new Array(dims.length);
  let step = 1;
  for (let axis = dims.length - 1; axis >= 0; axis--) {
    strides[axis] = step;
    step *= dims[axis];
  }
  return strides;
}
