// The page's other thread: a network answers here while the skeleton goes on moving there.

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let index = 0; index < text.length; index++) bytes[index] = text.charCodeAt(index);
  return bytes.buffer;
}

let answerOf;

self.onmessage = ({ data: message }) => {
  try {
    const start = performance.now();
    if (message.open) {
      const { about, graph, constants } = message.open;
      answerOf = openModel({ about, graph, buffer: bytesOf(constants) });
      self.postMessage({ opened: true });
      return;
    }
    const found = answerOf(message.clip, message.lost);
    self.postMessage({ ...found, ms: performance.now() - start });
  } catch (error) {
    self.postMessage({ error: error.message });
  }
};
