// From a clip as it was recorded to scores, as `export/serving.py` has it.

const steps = {
  branches,
  centre,
  centre_seen: centreSeen,
  crop_resize: cropResize,
  drop_empty: dropEmpty,
  fit,
  loop,
  map_joints: mapJoints,
  min_max: minMax,
  normalise_2d: normalise2d,
  normalise_3d: normalise3d,
  sample,
  stream,
  trim,
  uniform,
  view_transform: viewTransform,
  window: windowed,
};
// Steps that make other channels of the joints: joints are taken away in front of them, where the
// network's joints are zero, as `compress/evaluation/damage.py` does.
const STREAMS = ["stream", "branches"];

// One view of a clip, its joints `lost` taken away.
function prepare(clip, about, view, lost) {
  const [C, T, V, M] = about.input;
  const { channels, joints } = about.recorded;
  if (clip.C !== channels || clip.V !== joints)
    throw new Error(`the clip has ${clip.C} coordinates of ${clip.V} joints; this network needs ${channels} of ${joints}`);
  let x = personsOf(clip, range(M));
  const given = about.preprocessing.map((step) => ("clips" in step ? { ...step, clip: view, clips: about.views } : step));
  const cut = given.findIndex((step) => STREAMS.includes(step.op));
  const front = cut < 0 ? given.length : cut;
  given.forEach((step, index) => {
    if (index === front) x = without(x, lost);
    x = steps[step.op](x, step);
  });
  if (front === given.length) x = without(x, lost);
  if (x.C !== C || x.T !== T || x.V !== V)
    throw new Error(`the clip has ${x.T} frames of ${x.C} channels after preprocessing, the network needs ${T} of ${C}`);
  return x;
}

function without(clip, lost) {
  if (!lost.length) return clip;
  const gone = new Set(lost);
  return mapped(clip, (value, c, t, v) => (gone.has(v) ? 0 : value));
}

// The mean of softmax over the views; with a temperature, the mean to the power of 1 / T.
function scoresOf(logits, views, temperature) {
  const classes = logits.length / views;
  const scores = new Float64Array(classes);
  for (let view = 0; view < views; view++) {
    const row = logits.subarray(view * classes, (view + 1) * classes);
    const largest = Math.max(...row);
    const powers = Array.from(row, (value) => Math.exp(value - largest));
    const sum = powers.reduce((total, value) => total + value, 0);
    powers.forEach((value, index) => (scores[index] += value / sum / views));
  }
  if (!temperature) return scores;
  const tempered = scores.map((value) => value ** (1 / temperature));
  const sum = tempered.reduce((total, value) => total + value, 0);
  return tempered.map((value) => value / sum);
}

// {about, graph, buffer} -> answer(raw clip, joints to take away) -> {logits, scores}; scores are
// null where nobody is in the clip: a network would name some class for it, too.
function openModel({ about, graph, buffer }) {
  const run = openNetwork(graph, buffer);
  const { recorded, views } = about;
  return (raw, lost = []) => {
    const clip = mended(raw, recorded.repair_bones, recorded.coordinates);
    if (!clip || !clip.data.some((value) => value !== 0)) return { logits: null, scores: null };
    const prepared = range(views).map((view) => prepare(clip, about, view, lost).data);
    const batch = new Float32Array(views * prepared[0].length);
    prepared.forEach((each, view) => batch.set(each, view * each.length));
    const logits = run(batch, views);
    return { logits, scores: scoresOf(logits, views, about.temperature) };
  };
}
