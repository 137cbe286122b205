// The skeleton on its canvas, and the frames of a window cut out of a clip.

const colourOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

// The numbers of frames from `start` to `stop`, as a clip.
function windowOf_(clip, start, stop) {
  const { C, T, V, M } = clip;
  const size = V * M;
  const frames = stop - start;
  const data = new Float32Array(C * frames * size);
  for (let c = 0; c < C; c++) data.set(clip.data.subarray((c * T + start) * size, (c * T + stop) * size), c * frames * size);
  return { C, T: frames, V, M, data };
}

// (x, y) of a joint with y downwards; null where it is missing.
function spot(clip, t, v, m, coordinates) {
  const step = clip.T * clip.V * clip.M;
  const k = (t * clip.V + v) * clip.M + m;
  let seen = false;
  for (let c = 0; c < coordinates; c++) {
    const value = clip.data[c * step + k];
    if (!Number.isFinite(value)) return null;
    seen = seen || value !== 0;
  }
  // In space y points up, in an image down.
  return seen ? [clip.data[k], coordinates > 2 ? -clip.data[step + k] : clip.data[step + k]] : null;
}

// One box for a whole clip, or a person who walks would seem to stand.
function extentOf(clip, coordinates) {
  const ends = [[Infinity, -Infinity], [Infinity, -Infinity]];
  for (let t = 0; t < clip.T; t++)
    for (let v = 0; v < clip.V; v++)
      for (let m = 0; m < clip.M; m++) {
        const at = spot(clip, t, v, m, coordinates);
        if (at) ends.forEach((end, axis) => end.splice(0, 2, Math.min(end[0], at[axis]), Math.max(end[1], at[axis])));
      }
  const middle = ends.map(([low, high]) => (low + high) / 2);
  return { middle, wide: Math.max(ends[0][1] - ends[0][0], 1e-6), high: Math.max(ends[1][1] - ends[1][0], 1e-6) };
}

function drawFrame(canvas, clip, extent, frame, bones, lost, coordinates) {
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [canvas.clientWidth, canvas.clientHeight];
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const scale = 0.86 * Math.min(width / extent.wide, height / extent.high);
  const gone = new Set(lost);
  for (let m = 0; m < clip.M; m++) {
    const spots = Array.from({ length: clip.V }, (_, v) => {
      const at = spot(clip, frame, v, m, coordinates);
      return at && [width / 2 + (at[0] - extent.middle[0]) * scale, height / 2 + (at[1] - extent.middle[1]) * scale];
    });
    if (spots.some(Boolean)) drawPerson(context, spots, bones, gone, colourOf(`s${m % 4}`));
  }
}

function drawPerson(context, spots, bones, gone, colour) {
  context.lineCap = "round";
  context.lineWidth = 4;
  context.strokeStyle = colour;
  for (const [a, b] of bones) {
    if (!spots[a] || !spots[b]) continue;
    // A bone that lost an end stays as a trace: one sees what the network no longer does.
    const faint = gone.has(a) || gone.has(b);
    context.globalAlpha = faint ? 0.25 : 1;
    context.setLineDash(faint ? [2, 7] : []);
    context.beginPath();
    context.moveTo(...spots[a]);
    context.lineTo(...spots[b]);
    context.stroke();
  }
  context.setLineDash([]);
  context.globalAlpha = 1;
  spots.forEach((at, joint) => {
    if (!at) return;
    context.beginPath();
    context.arc(...at, gone.has(joint) ? 5 : 4, 0, 7);
    context.fillStyle = gone.has(joint) ? colourOf("card") : colourOf("ink");
    context.fill();
    if (!gone.has(joint)) return;
    context.lineWidth = 2;
    context.strokeStyle = colourOf("bad");
    context.stroke();
    context.strokeStyle = colour;
    context.lineWidth = 4;
  });
}
