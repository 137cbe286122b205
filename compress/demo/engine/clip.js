// Clips (C, T, V, M), and the steps of `deployed.json` that choose frames or scale what is there, as
// `export/preprocess/ops.py` has them. float32 throughout: f() rounds where numpy does.

function clipOf(C, T, V, M, data) {
  return { C, T, V, M, data: data || new Float32Array(C * T * V * M) };
}

const place = (clip, c, t, v, m) => ((c * clip.T + t) * clip.V + v) * clip.M + m;

// A clip of the same shape with every number made by each(value, c, t, v, m).
function mapped(clip, each) {
  const made = clipOf(clip.C, clip.T, clip.V, clip.M);
  for (let c = 0, k = 0; c < clip.C; c++)
    for (let t = 0; t < clip.T; t++)
      for (let v = 0; v < clip.V; v++)
        for (let m = 0; m < clip.M; m++, k++) made.data[k] = each(clip.data[k], c, t, v, m);
  return made;
}

// The clip of these frames, in this order.
function framesOf(clip, frames) {
  const { C, T, V, M } = clip;
  const made = clipOf(C, frames.length, V, M);
  const size = V * M;
  for (let c = 0; c < C; c++) {
    frames.forEach((frame, t) => {
      const from = (c * T + frame) * size;
      made.data.set(clip.data.subarray(from, from + size), (c * frames.length + t) * size);
    });
  }
  return made;
}

// The clip of these persons, in this order; zeros for those that it does not have.
function personsOf(clip, persons) {
  const made = clipOf(clip.C, clip.T, clip.V, persons.length);
  for (let row = 0; row < clip.C * clip.T * clip.V; row++) {
    persons.forEach((person, m) => {
      if (person < clip.M) made.data[row * persons.length + m] = clip.data[row * clip.M + person];
    });
  }
  return made;
}

const range = (count) => Array.from({ length: count }, (_, index) => index);

// Whether person m is in frame t: a number there is not 0.
function isIn(clip, t, m) {
  for (let c = 0; c < clip.C; c++)
    for (let v = 0; v < clip.V; v++) if (clip.data[place(clip, c, t, v, m)] !== 0) return true;
  return false;
}

const isEmpty = (clip, t) => !range(clip.M).some((m) => isIn(clip, t, m));

// Whether one of the first `coordinates` numbers of a joint is not 0.
function isSeen(clip, t, v, m, coordinates = clip.C) {
  for (let c = 0; c < coordinates; c++) if (clip.data[place(clip, c, t, v, m)] !== 0) return true;
  return false;
}

// Index of the last frame that is not empty, plus one; 1 for a clip of zeros.
function validLength(clip) {
  for (let t = clip.T - 1; t >= 0; t--) if (!isEmpty(clip, t)) return t + 1;
  return 1;
}

const point = (clip, t, v, m) => range(clip.C).map((c) => clip.data[place(clip, c, t, v, m)]);

function centre(clip, { joint, frame = 0, person = 0 }) {
  const origin = point(clip, frame, joint, person);
  const there = range(clip.T).map((t) => range(clip.M).map((m) => isIn(clip, t, m)));
  return mapped(clip, (value, c, t, v, m) => (there[t][m] ? value - origin[c] : value));
}

function centreSeen(clip, { joint, coordinates = 3 }) {
  const origin = firstSeen(clip, joint, Math.min(coordinates, clip.C));
  if (!origin) return clip;
  return mapped(clip, (value, c, t, v, m) => {
    if (c >= origin.length) return value;
    return isSeen(clip, t, v, m, origin.length) ? value - origin[c] : 0;
  });
}

// Where a joint is seen first, or a person is around the origin.
function firstSeen(clip, joint, coordinates) {
  for (let t = 0; t < clip.T; t++)
    for (let m = 0; m < clip.M; m++)
      if (isSeen(clip, t, joint, m, coordinates) || isAround(clip, t, m, coordinates))
        return point(clip, t, joint, m).slice(0, coordinates);
  return null;
}

function isAround(clip, t, m, coordinates) {
  const seen = range(clip.V).filter((v) => isSeen(clip, t, v, m, coordinates));
  if (!seen.length) return false;
  const ends = range(coordinates).map((c) => {
    const values = seen.map((v) => clip.data[place(clip, c, t, v, m)]);
    return [Math.min(...values), Math.max(...values)];
  });
  const near = f(Math.max(...ends.map(([low, high]) => f(high - low))) / 2);
  return ends.every(([low, high]) => low <= near && high >= -near);
}

const trim = (clip) => framesOf(clip, range(validLength(clip)));

function dropEmpty(clip) {
  const present = range(clip.T).filter((t) => !isEmpty(clip, t));
  return framesOf(clip, present.length ? present : [0]);
}

function minMax(clip, { low = -1, high = 1 }) {
  const size = clip.T * clip.V * clip.M;
  const ends = range(clip.C).map((c) => {
    let [smallest, largest] = [Infinity, -Infinity];
    for (const value of clip.data.subarray(c * size, (c + 1) * size)) {
      smallest = Math.min(smallest, value);
      largest = Math.max(largest, value);
    }
    return [smallest, largest > smallest ? f(largest - smallest) : 1];
  });
  return mapped(clip, (value, c) => {
    const [smallest, extent] = ends[c];
    return f(f(f(value - smallest) / extent) * f(high - low)) + f(low);
  });
}

// As numpy's linspace counts: a step that was rounded, and the last frame itself.
function sample(clip, { frames }) {
  const step = (clip.T - 1) / (frames - 1);
  const last = clip.T - 1;
  return framesOf(clip, range(frames).map((i) => (i === frames - 1 && i ? last : Math.floor(i * step || 0))));
}

function cropResize(clip, { ratio, frames }) {
  const valid = validLength(clip);
  const cut = Math.trunc(((1 - ratio) * valid) / 2);
  const kept = range(valid - 2 * cut).map((t) => t + cut);
  const T = kept.length;
  const left = [];
  const weights = range(frames).map((i) => {
    const position = Math.max(0, Math.min(T - 1, ((i + 0.5) * T) / frames - 0.5));
    left.push(Math.floor(position));
    return f(position - Math.floor(position));
  });
  const first = framesOf(clip, left.map((t) => kept[t]));
  const second = framesOf(clip, left.map((t) => kept[Math.min(t + 1, T - 1)]));
  return mapped(first, (value, c, t, v, m) => {
    const other = second.data[place(second, c, t, v, m)];
    return f(value * f(1 - weights[t])) + f(other * weights[t]);
  });
}

const loop = (clip, { frames }) => framesOf(clip, range(frames).map((i) => i % clip.T));

// At most so many frames, the middle ones; fewer are filled up by `pad`.
function windowed(clip, { frames, pad }) {
  const valid = validLength(clip);
  const T = Math.min(valid, frames);
  const start = Math.floor(Math.max(0, valid - frames) / 2);
  const count = pad ? frames : T;
  return framesOf(clip, range(count).map((i) => start + (pad === "loop" ? i % T : Math.min(i, T - 1))));
}

function fit(clip, { frames }) {
  const made = clipOf(clip.C, frames, clip.V, clip.M);
  const kept = framesOf(clip, range(Math.min(frames, clip.T)));
  return mapped(made, (_, c, t, v, m) => (t < kept.T ? kept.data[place(kept, c, t, v, m)] : 0));
}

function uniform(raw, { frames, clip = 0, clips = 1 }) {
  const T = raw.T;
  if (frames > T) {
    const start = clips > T ? clip : Math.floor((clip * T) / clips);
    return framesOf(raw, range(frames).map((i) => (start + i) % T));
  }
  const at = (i) => Math.floor(((2 * (i * clips + clip) + 1) * T) / (2 * clips * frames));
  return framesOf(raw, range(frames).map(at));
}
