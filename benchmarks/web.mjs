// A model in onnxruntime-web (WebAssembly), asked over stdin: little-endian, the number of axes, their
// sizes and the float32 of a batch of clips in; a count and the logits out. benchmarks/web.py runs it.
//
// node web.mjs FOLDER MODEL THREADS, FOLDER holding node_modules/onnxruntime-web
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [folder, model, threads] = process.argv.slice(2);
const ort = createRequire(join(folder, "index.js"))("onnxruntime-web");
ort.env.wasm.numThreads = Number(threads);
ort.env.logLevel = "error";
const session = await ort.InferenceSession.create(new Uint8Array(readFileSync(model)), {
  executionProviders: ["wasm"],
  graphOptimizationLevel: "all",
});

let waiting = Buffer.alloc(0);
for await (const part of process.stdin) {
  waiting = Buffer.concat([waiting, part]);
  while (waiting.length >= 4) {
    // The rank and its sizes stand in front of the numbers.
    const rank = waiting.readInt32LE(0);
    if (waiting.length < 4 * (rank + 1)) break;
    const sizes = Array.from({ length: rank }, (_, axis) => waiting.readInt32LE(4 * (axis + 1)));
    const count = sizes.reduce((product, size) => product * size, 1);
    const end = 4 * (rank + 1 + count);
    if (waiting.length < end) break;
    const numbers = new Float32Array(Uint8Array.from(waiting.subarray(4 * (rank + 1), end)).buffer);
    waiting = waiting.subarray(end);
    const found = await session.run({
      [session.inputNames[0]]: new ort.Tensor("float32", numbers, sizes),
    });
    const logits = found[session.outputNames[0]].data;
    const head = Buffer.alloc(4);
    head.writeInt32LE(logits.length);
    process.stdout.write(
      Buffer.concat([head, Buffer.from(logits.buffer, logits.byteOffset, logits.byteLength)]),
    );
  }
}
