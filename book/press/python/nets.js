// Runs in a worker, below parts.js: onnxruntime and the book's networks.
const sessions = {};

async function start(parts) {
  await open(parts);
  script("ort.wasm.min.js");
  const module = new Blob([opened.get("ort-wasm-simd-threaded.mjs")], { type: "text/javascript" });
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = opened.get("ort-wasm-simd-threaded.wasm").buffer;
  ort.env.wasm.wasmPaths = { mjs: URL.createObjectURL(module) };
  self.importScripts = undefined;
}

async function answer(net, feeds) {
  const session = (sessions[net] ||= await ort.InferenceSession.create(opened.get(net + ".onnx")));
  const given = Object.entries(feeds).map(([name, [data, shape]]) => {
    const type = data instanceof BigInt64Array ? "int64" : "float32";
    return [name, new ort.Tensor(type, data, shape)];
  });
  const found = await session.run(Object.fromEntries(given));
  return Object.fromEntries(Object.entries(found).map(([name, tensor]) => [name, tensor.data]));
}

self.onmessage = async ({ data }) => {
  try {
    if (data.parts) {
      await start(data.parts);
      self.postMessage({ ready: true });
    } else if (data.facts) {
      self.postMessage(JSON.parse(new TextDecoder().decode(opened.get("facts.json")))[data.facts]);
    } else self.postMessage(await answer(data.net, data.feeds));
  } catch (error) {
    self.postMessage({ broken: String((error && error.message) || error).slice(0, 300) });
  }
};
