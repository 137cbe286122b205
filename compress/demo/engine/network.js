// A network of `compress/demo/graph.py`, ready to run.

const operators = { ...elementwise, ...integers, ...convolutions, ...shaping };

// {graph, buffer of the constants} -> run(clips (N, C, T, V, M) as float32, N) -> logits (N * K).
function openNetwork(graph, buffer) {
  const constants = new Map(graph.constants.map((each) => [each.name, stored(each, buffer)]));
  // What follows from constants alone, such as float32 weights of float16 ones, is computed once.
  const nodes = graph.nodes.filter((node) => {
    if (!node.in.every((name) => name === "" || constants.has(name))) return true;
    compute(node, constants);
    return false;
  });
  const lasts = lastReads(nodes, graph.output);
  const [fixed, ...sizes] = graph.input.dims;
  const forward = (data, count) => {
    const values = new Map(constants);
    values.set(graph.input.name, tensor("float32", [count, ...sizes], data));
    nodes.forEach((node, index) => {
      compute(node, values);
      for (const name of lasts[index]) values.delete(name);
    });
    return values.get(graph.output).data;
  };
  if (!fixed) return forward;
  // A file for a fixed number of clips: so many at a time, zeros behind the last.
  return (data, count) => {
    const size = volume(sizes);
    const logits = [];
    for (let start = 0; start < count; start += fixed) {
      const batch = new Float32Array(fixed * size);
      batch.set(data.subarray(start * size, Math.min(count, start + fixed) * size));
      const found = forward(batch, fixed);
      const classes = found.length / fixed;
      logits.push(...found.subarray(0, Math.min(fixed, count - start) * classes));
    }
    return Float32Array.from(logits);
  };
}

function compute(node, values) {
  const operator = operators[node.op];
  if (!operator) throw new Error(`the operator ${node.op} is not computed here`);
  const inputs = node.in.map((name) => (name === "" ? undefined : values.get(name)));
  const results = operator(inputs, node.with || {}, node.out.length);
  node.out.forEach((name, index) => name && values.set(name, results[index]));
}

// By node, the values that nobody reads behind it.
function lastReads(nodes, output) {
  const last = new Map();
  nodes.forEach((node, index) => [...node.in, ...node.out].forEach((name) => last.set(name, index)));
  last.delete(output);
  const found = nodes.map(() => []);
  last.forEach((index, name) => found[index].push(name));
  return found;
}
