// Steps of `deployed.json` that place, turn and connect bodies, as `normalise.py`, `streams.py` and
// `joints.py` of `export/preprocess` have them.

// Missing joints are zeros, and stay; `origin` gives the point of a frame that is taken away.
function moved(clip, origin) {
  return mapped(clip, (value, c, t, v, m) => (isSeen(clip, t, v, m) ? value - origin(t)[c] : 0));
}

function normalise3d(clip, { centre: joint, spine, shoulders }) {
  const counts = range(clip.M).map((m) => range(clip.T).filter((t) => isIn(clip, t, m)).length);
  const first = counts.indexOf(Math.max(...counts));
  if (!counts[first]) return framesOf(clip, [0]);
  const there = range(clip.T).filter((t) => isIn(clip, t, first));
  const order = [first, ...range(clip.M).filter((m) => m !== first)];
  const kept = personsOf(framesOf(clip, there), order);
  const origin = point(kept, 0, joint, 0);
  return align(moved(kept, () => origin), spine, shoulders);
}

function viewTransform(clip, { centre: joint, spine, shoulders, once = false }) {
  const away = range(clip.T).some((t) => isSeen(clip, t, joint, 0));
  if (once && !away) return clip;
  const made = clipOf(clip.C, clip.T, clip.V, clip.M);
  for (let m = 0; m < clip.M; m++) {
    const frames = loopedFrames(clip, m);
    for (let c = 0; c < clip.C; c++)
      for (let t = 0; t < clip.T; t++)
        for (let v = 0; v < clip.V; v++)
          made.data[place(made, c, t, v, m)] = clip.data[place(clip, c, frames[t], v, m)];
  }
  const origins = range(clip.T).map((t) => point(made, t, joint, 0));
  return align(moved(made, (t) => origins[t]), spine, shoulders);
}

// The frames of one person, repeated until all are full.
function loopedFrames(clip, m) {
  const there = range(clip.T).filter((t) => isIn(clip, t, m));
  if (!there.length) return range(clip.T);
  const kept = there[0] === 0 ? range(there[there.length - 1] + 1) : there;
  return range(clip.T).map((t) => kept[t % kept.length]);
}

function align(clip, spine, shoulders) {
  const upright = spine ? turned(clip, spine[0], spine[1], [0, 0, 1]) : clip;
  return shoulders ? turned(upright, shoulders[1], shoulders[0], [1, 0, 0]) : upright;
}

function turned(clip, start, end, axis) {
  const [from, to] = [point(clip, 0, start, 0), point(clip, 0, end, 0)];
  const matrix = onto(to.map((value, c) => value - from[c]), axis).map((row) => row.map(f));
  const size = clip.T * clip.V * clip.M;
  const made = clipOf(clip.C, clip.T, clip.V, clip.M);
  for (let k = 0; k < size; k++)
    for (let d = 0; d < 3; d++) {
      const [x, y, z] = [0, 1, 2].map((c) => f(matrix[d][c] * clip.data[c * size + k]));
      made.data[d * size + k] = f(x + y) + z;
    }
  return made;
}

// The rotation by the smallest angle that takes a vector to an axis (Rodrigues).
function onto([x, y, z], axis) {
  const normal = [y * axis[2] - z * axis[1], z * axis[0] - x * axis[2], x * axis[1] - y * axis[0]];
  const size = Math.sqrt(x * x + y * y + z * z);
  const same = [[1, 0, 0], [0, 1, 0], [0, 0, 1]];
  if (size < 1e-6 || normal.reduce((sum, each) => sum + Math.abs(each), 0) < 1e-6) return same;
  const length = Math.sqrt(normal.reduce((sum, each) => sum + each * each, 0));
  const sine = length / size;
  const cosine = (x * axis[0] + y * axis[1] + z * axis[2]) / size;
  const [a, b, c] = normal.map((each) => each / length);
  const cross = [[0, -c, b], [c, 0, -a], [-b, a, 0]];
  const square = (i, j) => range(3).reduce((sum, k) => sum + cross[i][k] * cross[k][j], 0);
  return same.map((row, i) => row.map((one, j) => one + sine * cross[i][j] + (1 - cosine) * square(i, j)));
}

function normalise2d(clip, { image, threshold }) {
  const least = threshold === undefined ? null : f(threshold);
  const trusted = (t, v, m) => least === null || clip.data[place(clip, clip.C - 1, t, v, m)] > least;
  const flat = (t, m) => range(clip.V).some((v) => isSeen(clip, t, v, m, 2));
  const there = range(clip.T).map((t) => range(clip.M).map((m) => flat(t, m)));
  const [middle, half] = image ? [image.map((each) => each / 2), image.map((each) => each / 2)] : box(clip, trusted);
  return mapped(clip, (value, c, t, v, m) => {
    if (c > 1) return value;
    return middle && there[t][m] && trusted(t, v, m) ? f(value - middle[c]) / half[c] : 0;
  });
}

// The middle and half the size of the box around what is seen; [null, null] around nothing.
function box(clip, trusted) {
  const low = [Infinity, Infinity];
  const high = [-Infinity, -Infinity];
  for (let t = 0; t < clip.T; t++)
    for (let v = 0; v < clip.V; v++)
      for (let m = 0; m < clip.M; m++) {
        if (!isSeen(clip, t, v, m, 2) || !trusted(t, v, m)) continue;
        for (const c of [0, 1]) {
          const value = clip.data[place(clip, c, t, v, m)];
          low[c] = Math.min(low[c], value);
          high[c] = Math.max(high[c], value);
        }
      }
  if (low[0] === Infinity) return [null, null];
  const half = f(Math.max(Math.max(...low.map((each, c) => f(high[c] - each))) / 2, 1e-6));
  return [low.map((each, c) => f(f(each + high[c]) / 2)), [half, half]];
}

function stream(clip, { kind, bones = [], absent = false, score = false }) {
  const there = range(clip.T).map((t) => range(clip.M).map((m) => isIn(clip, t, m)));
  const made = kind.startsWith("bone") ? boneOf(clip, bones, score) : clip;
  return kind.endsWith("motion") ? motion(made, absent ? there : null, score) : made;
}

// Bones are pairs of a joint and its parent; a joint that is no child has bone zero.
function boneOf(clip, bones, score) {
  const parent = new Map(bones);
  return mapped(clip, (value, c, t, v, m) => {
    const own = score && c === clip.C - 1;
    if (!parent.has(v)) return own ? value : 0;
    const other = clip.data[place(clip, c, t, parent.get(v), m)];
    return own ? f(value + other) / 2 : value - other;
  });
}

function motion(clip, there, score) {
  return mapped(clip, (value, c, t, v, m) => {
    if (t === clip.T - 1 || (there && !(there[t][m] && there[t + 1][m]))) return 0;
    const next = clip.data[place(clip, c, t + 1, v, m)];
    return score && c === clip.C - 1 ? f(next + value) / 2 : next - value;
  });
}

function branches(clip, { centre: joint, bones }) {
  const vectors = boneOf(clip, bones, false);
  const later = (step) =>
    mapped(clip, (value, c, t, v, m) => (t >= clip.T - 2 ? 0 : clip.data[place(clip, c, t + step, v, m)] - value));
  const angles = mapped(vectors, (value, c, t, v, m) => {
    const length = Math.sqrt(point(vectors, t, v, m).reduce((sum, each) => sum + each * each, 0));
    return Math.acos(value / (length + 1e-4));
  });
  const relative = mapped(clip, (value, c, t, v, m) => value - clip.data[place(clip, c, t, joint, m)]);
  const parts = [clip, relative, later(1), later(2), vectors, angles];
  const made = clipOf(6 * clip.C, clip.T, clip.V, clip.M);
  parts.forEach((each, index) => made.data.set(each.data, index * clip.data.length));
  return made;
}

function mapJoints(clip, { joints, axes, score = false }) {
  const coordinates = clip.C - (score ? 1 : 0);
  const made = clipOf(clip.C, clip.T, joints.length, clip.M);
  for (let t = 0; t < clip.T; t++)
    for (let m = 0; m < clip.M; m++) {
      joints.forEach((points, v) => {
        const found = weighted(clip, points, t, m, coordinates);
        if (!found) return;
        found.forEach((value, c) => (made.data[place(made, c, t, v, m)] = value));
        if (!score) return;
        const sources = points.flatMap(([, group]) => group).filter((v_) => isSeen(clip, t, v_, m, coordinates));
        const sure = sources.map((v_) => clip.data[place(clip, clip.C - 1, t, v_, m)]);
        made.data[place(made, clip.C - 1, t, v, m)] = Math.min(...sure);
      });
    }
  if (!axes) return made;
  return mapped(made, (value, c, t, v, m) => {
    if (c >= coordinates) return value;
    const from = made.data[place(made, "xyz".indexOf(axes[c].at(-1)), t, v, m)];
    return axes[c].startsWith("-") ? 0 - from : from;
  });
}

// The weighted sum of points, each the mean of its joints that are seen; null without one of them.
function weighted(clip, points, t, m, coordinates) {
  const sums = new Float32Array(coordinates);
  for (const [weight, group] of points) {
    const seen = group.filter((v) => isSeen(clip, t, v, m, coordinates));
    if (!seen.length) return null;
    for (let c = 0; c < coordinates; c++) {
      const total = seen.reduce((sum, v) => f(sum + clip.data[place(clip, c, t, v, m)]), 0);
      sums[c] += f(f(weight) * f(total / seen.length));
    }
  }
  return Array.from(sums);
}
