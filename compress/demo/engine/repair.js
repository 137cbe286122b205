// Frames and joints that are no numbers, mended as in training: `export/preprocess/repair.py`.

// The clip mended; null for one without a number to mend it by.
function mended(clip, bones, coordinates) {
  if (!bones) return repairFrames(clip);
  const points = Math.min(coordinates || clip.C, clip.C);
  const some = range(clip.T).some((t) => range(clip.V).some((v) => range(clip.M).some((m) => isFinite_(clip, t, v, m, clip.C))));
  return some ? repairJoints(clip, bones, points) : null;
}

function isFinite_(clip, t, v, m, coordinates) {
  for (let c = 0; c < coordinates; c++)
    if (!Number.isFinite(clip.data[place(clip, c, t, v, m)])) return false;
  return true;
}

// Frames with a number that is none become the nearest good one, the earlier of two as near.
function repairFrames(clip) {
  const whole = range(clip.T).map((t) =>
    range(clip.V).every((v) => range(clip.M).every((m) => isFinite_(clip, t, v, m, clip.C))),
  );
  if (whole.every(Boolean)) return clip;
  if (!whole.some(Boolean)) return null;
  let good = range(clip.T).filter((t) => whole[t] && !isEmpty(clip, t));
  if (!good.length) good = range(clip.T).filter((t) => whole[t]);
  const nearest = (t) => good.reduce((best, each) => (Math.abs(each - t) < Math.abs(best - t) ? each : best));
  return framesOf(clip, range(clip.T).map((t) => (whole[t] ? t : nearest(t))));
}

function repairJoints(clip, bones, coordinates) {
  const zero = (t, v, m) => !isSeen(clip, t, v, m, coordinates);
  const finite = (t, v, m) => isFinite_(clip, t, v, m, coordinates);
  const there = range(clip.T).map((t) => range(clip.M).map((m) => range(clip.V).some((v) => !zero(t, v, m))));
  const zeros = zeroIsAPlace(clip, coordinates, (t, v, m) => finite(t, v, m) && !zero(t, v, m));
  const seen = (t, v, m) => finite(t, v, m) && (zeros || !zero(t, v, m));
  const filled = mapped(clip, (value, c) => (c >= coordinates && !Number.isFinite(value) ? 0 : value));
  for (let m = 0; m < clip.M; m++) {
    const state = range(clip.T).map((t) =>
      range(clip.V).map((v) => (!there[t][m] ? "away" : seen(t, v, m) ? "seen" : "missing")),
    );
    fill(filled, state, m, bones, coordinates);
  }
  return filled;
}

// Whether seen joints lie on either side of zero along every axis, or all on it.
function zeroIsAPlace(clip, coordinates, seen) {
  const ends = range(coordinates).map(() => [Infinity, -Infinity]);
  for (let t = 0; t < clip.T; t++)
    for (let v = 0; v < clip.V; v++)
      for (let m = 0; m < clip.M; m++) {
        if (!seen(t, v, m)) continue;
        ends.forEach((end, c) => {
          const value = clip.data[place(clip, c, t, v, m)];
          end[0] = Math.min(end[0], value);
          end[1] = Math.max(end[1], value);
        });
      }
  return ends.every(([low, high]) => low === Infinity || (low < 0 && high > 0) || (low === 0 && high === 0));
}

function fill(clip, state, m, bones, coordinates) {
  const put = (t, v, values) => values.forEach((value, c) => (clip.data[place(clip, c, t, v, m)] = value));
  const get = (t, v) => point(clip, t, v, m).slice(0, coordinates);
  const nobody = !state.some((row) => row.includes("seen"));
  const nowhere = new Array(coordinates).fill(0);
  if (nobody) {
    state.forEach((row, t) => row.includes("missing") && range(clip.V).forEach((v) => put(t, v, nowhere)));
    return;
  }
  const holesOf = (v) => range(clip.T).filter((t) => state[t][v] === "missing");
  const known = range(clip.V).map((v) => state.some((row) => row[v] === "seen"));
  for (let v = 0; v < clip.V; v++) {
    if (!known[v]) continue;
    const times = range(clip.T).filter((t) => state[t][v] === "seen");
    for (const t of holesOf(v)) put(t, v, between(times, t, (time) => get(time, v)));
  }
  const unseen = range(clip.V).filter((v) => !known[v] && holesOf(v).length);
  const sources = nearestJoints(unseen, clip.V, bones);
  for (const v of unseen)
    for (const t of holesOf(v)) put(t, v, sources.has(v) ? get(t, sources.get(v)) : nowhere);
}

// Linear in time, the first and the last value beyond the ends.
function between(times, t, get) {
  const later = times.findIndex((time) => time > t);
  if (later < 0) return get(times[times.length - 1]);
  if (later === 0) return get(times[0]);
  const [before, behind] = [times[later - 1], times[later]];
  const [low, high] = [get(before), get(behind)];
  return low.map((value, c) => ((high[c] - value) / (behind - before)) * (t - before) + value);
}

// The nearest joint that is seen of each that never is, by bones; a whole round at a time.
function nearestJoints(unseen, joints, bones) {
  const neighbours = range(joints).map(() => new Set());
  for (const [child, parent] of bones) {
    neighbours[child].add(parent);
    neighbours[parent].add(child);
  }
  const sources = new Map(range(joints).filter((v) => !unseen.includes(v)).map((v) => [v, v]));
  for (;;) {
    const reached = [];
    for (const v of unseen) {
      const near = [...neighbours[v]].filter((each) => sources.has(each));
      if (!sources.has(v) && near.length) reached.push([v, sources.get(Math.min(...near))]);
    }
    if (!reached.length) return sources;
    reached.forEach(([v, source]) => sources.set(v, source));
  }
}
