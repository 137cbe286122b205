// Clips that somebody drops: .npy, .json and .csv, in the forms that `featherbone predict` reads and
// that need no guess. Every reader gives {C, T, V, M, data}, NaN for a number that is missing.

const readers = { npy: readNpy, json: readJson, csv: readCsv };

// [{name, clip}] of a file, for a network whose clips are recorded as `wanted` says.
async function readClips(file, wanted) {
  const kind = file.name.split(".").pop().toLowerCase();
  const read = readers[kind];
  if (!read) throw new Error(`${file.name}: drop a .csv, .json or .npy file; featherbone demo --clip reads every other kind`);
  if (file.size > 200e6) throw new Error(`${file.name}: larger than 200 MB`);
  const name = file.name.replace(/\.[^.]*$/, "");
  try {
    const clips = read(await file.arrayBuffer(), wanted);
    return clips.map((clip, index) => ({ name: clips.length > 1 ? `${name}[${index}]` : name, clip }));
  } catch (error) {
    throw new Error(`${file.name}: ${error.message}`);
  }
}

// Numbers a joint has in a file, its score counted.
const numbersOf = (wanted) => wanted.channels;

// An array of these dims, of which axes(c, t, v, m) is the index -> a clip.
function clipBy(C, T, V, M, values, index) {
  if (Math.min(C, T, V, M) < 1) throw new Error("holds no frames");
  const data = new Float32Array(C * T * V * M);
  let k = 0;
  for (let c = 0; c < C; c++)
    for (let t = 0; t < T; t++)
      for (let v = 0; v < V; v++)
        for (let m = 0; m < M; m++) data[k++] = values[index(c, t, v, m)];
  return { C, T, V, M, data };
}

const NPY = { f2: 2, f4: Float32Array, f8: Float64Array, i1: Int8Array, u1: Uint8Array, i2: Int16Array, u2: Uint16Array, i4: Int32Array, i8: BigInt64Array };

function readNpy(buffer, wanted) {
  const bytes = new Uint8Array(buffer);
  if (String.fromCharCode(...bytes.subarray(0, 6)) !== "\x93NUMPY") throw new Error("is no .npy file");
  const view = new DataView(buffer);
  const [start, length] = bytes[6] > 1 ? [12, view.getUint32(8, true)] : [10, view.getUint16(8, true)];
  const header = new TextDecoder().decode(bytes.subarray(start, start + length));
  const [, kind] = /'descr':\s*'[<|]([fiu]\d)'/.exec(header) || [];
  const [, shape] = /'shape':\s*\(([^)]*)\)/.exec(header) || [];
  if (!kind || !NPY[kind] || kind === "f2" || shape === undefined || /'fortran_order':\s*True/.test(header))
    throw new Error("save it as float32 in C order: numpy.save(file, numpy.ascontiguousarray(clip, 'float32'))");
  const dims = shape.split(",").filter((size) => size.trim()).map(Number);
  const values = Array.from(new NPY[kind](buffer.slice(start + length)), Number);
  if (values.length !== dims.reduce((a, b) => a * b, 1)) throw new Error("is cut off");
  return shaped(values, dims, wanted);
}

function shaped(values, dims, wanted) {
  const [C, V] = [numbersOf(wanted), wanted.joints];
  const [a, b, c, d] = dims;
  const found = [];
  if (dims.length === 3 && b === V && c === C) found.push(clipBy(C, a, V, 1, values, (i, t, v) => (t * V + v) * C + i));
  if (dims.length === 2 && b % (V * C) === 0) {
    const M = b / (V * C);
    found.push(clipBy(C, a, V, M, values, (i, t, v, m) => ((t * M + m) * V + v) * C + i));
  }
  if (dims.length === 4 && a === C && c === V) found.push(clipBy(C, b, V, d, values, (i, t, v, m) => ((i * b + t) * V + v) * d + m));
  if (dims.length === 4 && c === V && d === C) found.push(clipBy(C, a, V, b, values, (i, t, v, m) => ((t * b + m) * V + v) * C + i));
  if (dims.length === 5 && b === C && d === V) {
    const [T, M] = [c, dims[4]];
    const size = C * T * V * M;
    return Array.from({ length: a }, (_, n) => clipBy(C, T, V, M, values.slice(n * size, (n + 1) * size), (i, t, v, m) => ((i * T + t) * V + v) * M + m));
  }
  const forms = `(C, T, V, M), (N, C, T, V, M), (T, V, C) or (T, M, V, C) with V = ${V} joints and C = ${C} numbers each`;
  if (found.length > 1) throw new Error(`the shape (${dims}) could be two things; save it as .json, or with another number of frames`);
  if (!found.length) throw new Error(`has shape (${dims}), expected ${forms}`);
  return found;
}

// NW-UCLA's {"skeletons": [T][V][3]}, and our own {"frames": [[[x, y, z], ...], ...]}.
function readJson(buffer, wanted) {
  const content = JSON.parse(new TextDecoder().decode(buffer));
  const frames = content.skeletons || content.frames;
  if (!Array.isArray(frames) || !frames.length) throw new Error('has no list "frames" or "skeletons"');
  const [C, V] = [numbersOf(wanted), wanted.joints];
  const persons = frames.map((frame) => {
    if (!frame || !frame.length) return [];
    return Array.isArray(frame[0]) && Array.isArray(frame[0][0]) ? frame : [frame];
  });
  persons.forEach((each, t) => each.forEach((joints) => {
    if (joints.length !== V || joints.some((joint) => !Array.isArray(joint) || joint.length !== C))
      throw new Error(`frame ${t}: expected ${V} joints of ${C} numbers`);
  }));
  const M = Math.max(1, ...persons.map((each) => each.length));
  const values = new Float64Array(frames.length * M * V * C);
  persons.forEach((each, t) => each.forEach((joints, m) => joints.forEach((joint, v) => joint.forEach((value, c) => {
    values[((t * M + m) * V + v) * C + c] = value === null ? NaN : Number(value);
  }))));
  return [clipBy(C, frames.length, V, M, values, (c, t, v, m) => ((t * M + m) * V + v) * C + c)];
}

// The names that columns may have, joint after joint.
function formsOf(wanted, axes) {
  const joints = Array.from({ length: wanted.joints }, (_, v) => v);
  const forms = [];
  if (wanted.names)
    for (const name of [(n, x) => `${n}_${x}`, (n, x) => `${x}_${n}`, (n, x) => `${n}.${x}`, (n, x) => `${n} ${x}`])
      forms.push(wanted.names.flatMap((joint) => axes.map((axis) => name(joint.toLowerCase(), axis))));
  for (const name of [(n, x) => `${x}_${n}`, (n, x) => `${n}_${x}`, (n, x) => `${x}${n}`])
    for (const start of [0, 1]) forms.push(joints.flatMap((v) => axes.map((axis) => name(v + start, axis))));
  return forms;
}

// A header of columns, then a row a frame, or a row a person of a frame.
function readCsv(buffer, wanted) {
  let text = new TextDecoder().decode(buffer).replace(/["\ufeff]/g, "");
  const header = text.slice(0, text.search(/[\r\n]/));
  // As spreadsheets write it in half of Europe.
  if (header.includes(";") && !header.includes(",")) text = text.replace(/,/g, ".").replace(/;/g, ",");
  const [names, ...rows] = text.split(/\r\n|\r|\n/).filter((line) => line.trim()).map((line) => line.split(",").map((cell) => cell.trim()));
  const at = new Map(names.map((name, index) => [name.toLowerCase(), index]));
  const axes = ["x", "y", "z"].slice(0, wanted.coordinates || wanted.channels);
  const whole = (forms) => forms.find((form) => form.every((name) => at.has(name)));
  const points = whole(formsOf(wanted, axes));
  if (!points) throw new Error(`expected the columns x0, y0, ... to ${axes.at(-1)}${wanted.joints - 1}, and if need be frame and person`);
  const scores = wanted.score ? whole(["visibility", "likelihood", "confidence", "conf", "score", "v", "c", "s"].flatMap((word) => formsOf(wanted, [word]))) : null;
  if (wanted.score && !scores) throw new Error("expected a column of scores for every joint, such as score0");
  const column = (keys) => keys.map((key) => at.get(key)).find((index) => index !== undefined);
  const frameAt = column(["frame", "frame_id", "frame_index", "frame_idx", "frame_number"]);
  const personAt = column(["person", "person_id", "track_id", "track"]);
  if (personAt !== undefined && frameAt === undefined) throw new Error("has persons, but no column frame");
  rows.forEach((row, index) => {
    if (row.length !== names.length) throw new Error(`line ${index + 2}: expected ${names.length} numbers`);
  });
  const numberOf = (row, index, usual) => (index === undefined ? usual : Number(row[index]));
  const order = (values) => [...new Set(values)].sort((a, b) => a - b);
  const times = order(rows.map((row, index) => numberOf(row, frameAt, index)));
  const people = order(rows.map((row) => numberOf(row, personAt, 0)));
  const [C, V, M] = [numbersOf(wanted), wanted.joints, people.length];
  const values = new Float64Array(times.length * M * V * C);
  const timeOf = new Map(times.map((time, t) => [time, t]));
  rows.forEach((row, index) => {
    const t = timeOf.get(numberOf(row, frameAt, index));
    const m = people.indexOf(numberOf(row, personAt, 0));
    const cell = (name) => (row[at.get(name)] === "" ? NaN : Number(row[at.get(name)]));
    for (let v = 0; v < V; v++) {
      const base = ((t * M + m) * V + v) * C;
      axes.forEach((_, c) => (values[base + c] = cell(points[v * axes.length + c])));
      if (scores) values[base + axes.length] = cell(scores[v]);
    }
  });
  return [clipBy(C, times.length, V, M, values, (c, t, v, m) => ((t * M + m) * V + v) * C + c)];
}
