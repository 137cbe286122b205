// The networks' threads: what each is asked, one thing at a time, newest first.

// A network in a thread of its own. `onAnswer(job, answer)` is told of every result.
function startNetwork(about, graph, constants, engine, onReady, onAnswer) {
  const worker = new Worker(engine);
  const waiting = { whole: null, window: null, clips: [] };
  let current = { open: true };
  let turn = 0;
  const next = () => {
    // A window that came while the last was computed is stale once a newer one is there. Clips of the
    // table get their turn behind every window, or a slow machine would never come to them.
    const jobs = turn++ % 2 ? ["whole", "window", "clips"] : ["whole", "clips", "window"];
    for (const kind of jobs) {
      const job = kind === "clips" ? waiting.clips.shift() : waiting[kind];
      if (!job) continue;
      if (kind !== "clips") waiting[kind] = null;
      current = job;
      worker.postMessage({ clip: job.clip, lost: job.lost });
      return;
    }
    current = null;
  };
  worker.onmessage = ({ data }) => {
    const job = current;
    if (job.open) onReady(data.error);
    else onAnswer(job, data);
    if (job.open && data.error) return;
    next();
  };
  worker.onerror = (event) => onReady(event.message || "the network's thread could not start");
  worker.postMessage({ open: { about, graph, constants } });
  return {
    ask(kind, job) {
      if (kind === "clips") waiting.clips.push({ kind, ...job });
      else waiting[kind] = { kind, ...job };
      if (!current) next();
    },
  };
}

// Classes from the best on, with their scores.
function best(scores, classes, count) {
  return Array.from(scores, (score, index) => ({ score, index, name: classes[index] }))
    .sort((a, b) => b.score - a.score || a.index - b.index)
    .slice(0, count);
}

const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1];
