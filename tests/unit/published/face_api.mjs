// What face-api's own code (TensorFlow.js) says to two pictures made by a formula: the numbers of face_api.json.
//   npm pack @vladmandic/face-api@1.7.15 && tar xzf vladmandic-face-api-1.7.15.tgz
//   node face_api.mjs "$PWD/package" > face_api.json
import fs from "fs";

globalThis.window = globalThis; // the bundle with TensorFlow.js inside is one for browsers
globalThis.document = { createElement: () => ({ getContext: () => null }), addEventListener() {} };
const base = process.argv[2];
const { nets, tf, NetInput } = await import(`${base}/dist/face-api.esm.js`);
await tf.setBackend("cpu");
for (const [net, name] of [
  [nets.ageGenderNet, "age_gender_model"],
  [nets.faceExpressionNet, "face_expression_model"],
  [nets.faceRecognitionNet, "face_recognition_model"],
]) {
  const manifest = JSON.parse(fs.readFileSync(`${base}/model/${name}-weights_manifest.json`));
  const bytes = new Uint8Array(fs.readFileSync(`${base}/model/${name}.bin`));
  net.loadFromWeightMap(tf.io.decodeWeights(bytes.buffer, manifest[0].weights));
}
const picture = (side, k) => {
  const number = (x, y, c) => (x * (3 + k) + y * (5 + 2 * c) + ((x * y) >> (4 + k)) * (c + 1)) % 256;
  const values = Array.from({ length: side * side * 3 }, (_, i) =>
    number(Math.floor(i / 3) % side, Math.floor(i / 3 / side), i % 3),
  );
  return new NetInput([tf.tensor3d(values, [side, side, 3], "float32")]);
};
const numbers = (tensor) => [...tensor.dataSync()].map((x) => Number(x.toPrecision(8)));
const rows = [0, 1].map((k) => {
  const { age, gender } = nets.ageGenderNet.forwardInput(picture(112, k));
  const expression = nets.faceExpressionNet.forwardInput(picture(112, k));
  const embedding = nets.faceRecognitionNet.forwardInput(picture(150, k));
  return { age: numbers(age), gender: numbers(gender), expression: numbers(expression), embedding: numbers(embedding) };
});
console.log(`[\n${rows.map((row) => JSON.stringify(row)).join(",\n")}\n]`);
