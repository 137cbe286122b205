// The page: plays clips, cuts windows out of them, asks the networks and shows what they say.

const by = (id) => document.getElementById(id);
const data = JSON.parse(by("data").textContent);
const { classes, recorded, bones, live, fps } = data;
const coordinates = recorded.coordinates || recorded.channels;
const TOP = 5;
// Windows that a median is taken of: enough to be calm, few enough to follow a phone that gets warm.
const TIMED = 9;

const decoded = (text) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Float32Array(bytes.buffer);
};
const clips = data.examples.map((each) => {
  const [C, T, V, M] = each.dims;
  return { ...each, clip: { C, T, V, M, data: decoded(each.data) }, answers: [] };
});
const state = { number: 0, frame: 0, playing: false, lost: [], order: [], asked: 0, drawn: 0, extent: null };
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
const networks = [];
let waiting = data.networks.length;

const percent = (score) => `${(100 * score).toFixed(score < 0.0995 ? 1 : 0)} %`;
const shown = () => clips[state.number];

function element(kind, text, ...kinds) {
  const made = document.createElement(kind);
  if (text !== undefined) made.textContent = text;
  made.classList.add(...kinds);
  return made;
}

// ------------------------------------------------------------------ what is asked

const askWhole = () => {
  const job = { number: state.number, clip: shown().clip, lost: state.lost.slice() };
  networks.forEach((network) => network.ask("whole", job));
};

function askWindow() {
  const stop = Math.floor(state.frame) + 1;
  const start = Math.max(0, stop - live.window);
  by("window").style.left = `${(100 * start) / shown().clip.T}%`;
  by("window").style.width = `${(100 * (stop - start)) / shown().clip.T}%`;
  const least = Math.min(live.min_frames, shown().clip.T);
  if (stop - start < least) {
    // While it plays the last answer stays until the next; whoever looks at one frame is told.
    if (!state.playing) panels.forEach((panel) => clear(panel, `at least ${least} frames are needed`));
    return;
  }
  if (state.asked && stop > state.asked && stop - state.asked < live.stride) return;
  state.asked = stop;
  const job = { number: state.number, clip: windowOf_(shown().clip, start, stop), lost: state.lost.slice() };
  networks.forEach((network) => network.ask("window", job));
}

// ---------------------------------------------------------------- what is answered

function onAnswer(index, job, answer) {
  const panel = panels[index];
  if (answer.error) {
    panel.note.textContent = answer.error;
    return;
  }
  panel.note.textContent = "";
  if (job.kind === "clips") {
    clips[job.number].answers[index] = answer;
    showRow(job.number);
    showChecks();
    return;
  }
  if (job.number !== state.number) return;
  const top = answer.scores ? best(answer.scores, classes, TOP) : [];
  if (job.kind === "whole") {
    panel.whole.textContent = top.length ? `${top[0].name}, ${percent(top[0].score)}` : "nobody is in it";
    return;
  }
  panel.times.push(answer.ms);
  if (panel.times.length > TIMED) panel.times.shift();
  by(`ms-${index}`).textContent = `${median(panel.times).toFixed(0)} ms`;
  showBars(panel, top);
}

function clear(panel, text) {
  panel.now.textContent = text;
  panel.rows.forEach((row) => {
    row.name.textContent = row.value.textContent = "";
    row.fill.style.width = "0";
  });
}

function showBars(panel, top) {
  const sure = top.length && top[0].score >= live.threshold;
  panel.now.textContent = !top.length ? "nobody" : sure ? top[0].name : `unsure: ${top[0].name}?`;
  panel.rows.forEach((row, place) => {
    const each = top[place];
    row.name.textContent = each ? each.name : "";
    row.fill.style.width = `${each ? 100 * each.score : 0}%`;
    row.value.textContent = each ? percent(each.score) : "";
  });
}

// ------------------------------------------------------------- the table of clips

const cells = [];
function addRow(number) {
  const { name, label } = clips[number];
  const row = element("tr");
  const head = element("th");
  const button = element("button", name, "link");
  head.scope = "row";
  button.type = "button";
  button.onclick = () => choose(number);
  head.append(button);
  const truth = element("td", label === null ? "–" : classes[label]);
  truth.dataset.name = "class";
  const found = data.networks.map((network) => {
    const cell = element("td", "…");
    cell.dataset.name = network.title;
    return cell;
  });
  row.append(head, truth, ...found);
  cells[number] = found;
  by("rows").append(row);
  networks.forEach((network) => network.ask("clips", { number, clip: clips[number].clip, lost: [] }));
}

function showRow(number) {
  const { answers, label } = clips[number];
  answers.forEach((answer, index) => {
    const cell = cells[number][index];
    if (!answer.scores) {
      cell.textContent = "nobody is in it";
      return;
    }
    const [top] = best(answer.scores, classes, 1);
    const right = label === null ? null : top.index === label;
    const mark = right === null ? "" : right ? "✓ " : "✗ ";
    cell.textContent = `${mark}${top.name}, ${percent(top.score)}`;
    cell.classList.toggle("good", right === true);
    cell.classList.toggle("bad", right === false);
  });
}

// How many clips are right, and whether this page says what ONNX Runtime said of them.
function showChecks() {
  const report = data.networks.map((network, index) => {
    let [done, right, known, same, compared, largest] = [0, 0, 0, 0, 0, 0];
    for (const { answers, label, expected } of clips) {
      const answer = answers[index];
      if (!answer) continue;
      done += 1;
      if (!answer.scores) continue;
      const found = best(answer.scores, classes, 1)[0].index;
      if (label !== null) known += 1;
      if (label === found) right += 1;
      if (!expected) continue;
      compared += 1;
      if (expected[index].top === found) same += 1;
      expected[index].logits.forEach((value, k) => (largest = Math.max(largest, Math.abs(value - answer.logits[k]))));
    }
    by(`right-${index}`).textContent = known ? `${right} of ${known}` : "–";
    by(`check-${index}`).textContent =
      compared === 0 ? "no clip was compared yet" : `${same} of ${compared} top classes equal, largest difference of a logit ${largest.toExponential(1)}`;
    return { done, right, known, same, compared, largest };
  });
  const least = Math.min(...report.map(({ done }) => done));
  by("progress").max = clips.length;
  by("progress").value = least;
  by("progress").hidden = least === clips.length;
  // For programs that look at the page.
  document.documentElement.dataset.checks = JSON.stringify(report);
}

// -------------------------------------------------------------------- playing

function choose(number) {
  state.number = number;
  by("clip").value = String(number);
  state.extent = extentOf(shown().clip, coordinates);
  by("scrub").max = String(shown().clip.T - 1);
  const { label } = shown();
  by("truth").textContent = label === null ? "not known" : classes[label];
  panels.forEach((panel) => {
    clear(panel, "…");
    panel.whole.textContent = "…";
  });
  // Who wants no motion sees the clip's last window, and so an answer.
  goTo(still && !state.playing ? shown().clip.T - 1 : 0);
  askWhole();
}

function goTo(frame) {
  state.frame = frame;
  state.asked = 0;
  show();
}

function show() {
  const frame = Math.floor(state.frame);
  by("scrub").value = String(frame);
  by("frame").textContent = `${frame + 1} / ${shown().clip.T}`;
  drawFrame(by("stage"), shown().clip, state.extent, frame, bones, state.lost, coordinates);
  askWindow();
}

let last = 0;
let [counted, since] = [0, 0];
function tick(now) {
  if (!state.playing) return;
  const passed = Math.min(0.25, (now - last) / 1000);
  last = now;
  counted += 1;
  if (now - since > 1000) {
    document.documentElement.dataset.fps = ((1000 * counted) / (now - since)).toFixed(1);
    by("fps").textContent = `${document.documentElement.dataset.fps} frames a second`;
    [counted, since] = [0, now];
  }
  state.frame += passed * fps;
  if (state.frame >= shown().clip.T) goTo(0);
  else show();
  requestAnimationFrame(tick);
}

function play(on) {
  state.playing = on;
  by("play").textContent = on ? "Pause" : "Play";
  if (!on) return;
  if (Math.floor(state.frame) >= shown().clip.T - 1) goTo(0);
  last = since = performance.now();
  counted = 0;
  requestAnimationFrame(tick);
}

function step(by_) {
  play(false);
  goTo(Math.max(0, Math.min(shown().clip.T - 1, Math.floor(state.frame) + by_)));
}

// ---------------------------------------------------------- joints taken away

function shuffle() {
  const order = Array.from({ length: recorded.joints }, (_, joint) => joint);
  for (let index = order.length - 1; index > 0; index--) {
    const other = Math.floor(Math.random() * (index + 1));
    [order[index], order[other]] = [order[other], order[index]];
  }
  state.order = order;
}

function takeAway() {
  const count = Number(by("lost").value);
  state.lost = state.order.slice(0, count);
  by("lost-count").textContent = `${count} of ${recorded.joints}`;
  askWhole();
  state.asked = 0;
  show();
}

// -------------------------------------------------------------------- own clips

async function take(files) {
  let first = null;
  for (const file of files) {
    try {
      for (const { name, clip } of await readClips(file, recorded)) {
        const number = clips.push({ name, clip, label: null, answers: [] }) - 1;
        by("clip").add(new Option(name, String(number)));
        addRow(number);
        first = first ?? number;
        const persons = data.networks[0].about.input[3];
        by("said").textContent = clip.M > persons ? `${name}: the first ${persons} of ${clip.M} persons are looked at` : `${name}: ${clip.T} frames`;
      }
    } catch (error) {
      by("said").textContent = error.message;
    }
  }
  if (first !== null) choose(first);
}

// ----------------------------------------------------------------------- start

const panels = data.networks.map((network, index) => {
  const list = by(`bars-${index}`);
  const rows = Array.from({ length: Math.min(TOP, classes.length) }, () => {
    const [item, name, bar, fill, value] = [element("li"), element("span", "", "name"), element("span", undefined, "bar"), element("i"), element("span", "", "value")];
    bar.append(fill);
    item.append(name, bar, value);
    list.append(item);
    return { name, fill, value };
  });
  return { rows, now: by(`now-${index}`), whole: by(`whole-${index}`), note: by(`note-${index}`), times: [] };
});

function onReady(index, error) {
  waiting -= 1;
  if (error) panels[index].note.textContent = error;
  document.documentElement.dataset.waiting = String(waiting);
}

const engine = URL.createObjectURL(new Blob([by("engine").textContent], { type: "text/javascript" }));
data.networks.forEach(({ about, graph }, index) => {
  const constants = by(`constants-${index}`);
  const told = (error) => onReady(index, error);
  networks.push(startNetwork(about, graph, constants.textContent, engine, told, (job, answer) => onAnswer(index, job, answer)));
  // The thread has them now; a second copy of all weights as text would only take memory.
  constants.remove();
});
clips.forEach((each, number) => {
  by("clip").add(new Option(each.name, String(number)));
  addRow(number);
});
shuffle();
choose(0);

by("play").onclick = () => play(!state.playing);
by("clip").onchange = () => choose(Number(by("clip").value));
by("scrub").oninput = () => {
  play(false);
  goTo(Number(by("scrub").value));
};
by("lost").oninput = takeAway;
by("others").onclick = () => {
  shuffle();
  takeAway();
};
by("file").onchange = () => take(by("file").files);
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("over");
});
document.addEventListener("dragleave", () => document.body.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  take(event.dataTransfer.files);
});
document.addEventListener("keydown", (event) => {
  // Controls have keys of their own.
  if (event.target.closest("button, input, select, summary, a") || event.ctrlKey || event.metaKey || event.altKey) return;
  const does = { " ": () => play(!state.playing), ArrowRight: () => step(1), ArrowLeft: () => step(-1) }[event.key];
  if (!does) return;
  event.preventDefault();
  does();
});
window.addEventListener("resize", show);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
play(!still);
