// The head of each worker of the page: it opens the parts that the page hands over, and takes the network away.
"use strict";

const opened = new Map(); // a part's bytes by its file's name

async function unpack(text) {
  const letters = atob(text);
  const packed = new Uint8Array(letters.length);
  for (let at = 0; at < letters.length; at++) packed[at] = letters.charCodeAt(at);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function open(parts) {
  await Promise.all(Object.entries(parts).map(async ([name, text]) => opened.set(name, await unpack(text))));
}

function script(name) {
  const address = URL.createObjectURL(new Blob([opened.get(name)], { type: "text/javascript" }));
  importScripts(address);
  URL.revokeObjectURL(address);
}

// Who asks for a file by its address gets it from memory, and whatever else asks gets nothing.
const TYPES = { wasm: "application/wasm", json: "application/json" };
self.fetch = async (asked) => {
  const name = String(asked.url || asked).split("/").pop().split("?")[0];
  if (!opened.has(name)) throw new TypeError("there is no network here");
  return new Response(opened.get(name), {
    headers: { "content-type": TYPES[name.split(".").pop()] || "application/octet-stream" },
  });
};
for (const way of ["XMLHttpRequest", "WebSocket", "EventSource", "WebTransport", "BroadcastChannel", "indexedDB", "caches"]) {
  try { Object.defineProperty(self, way, { value: undefined }); } catch { /* this browser has none to take away */ }
}
