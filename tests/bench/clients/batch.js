// What the clients of node share: every line of an OpenAI batch file to a call, so many in flight, and the
// answers in order of completion.
//
// usage: node CLIENT.js INPUT --endpoint URL -o OUTPUT --concurrency N
"use strict";

const fs = require("node:fs");
const { finished } = require("node:stream/promises");
const { parseArgs } = require("node:util");

function parseArguments() {
  const text = { type: "string" };
  const options = { endpoint: text, output: { ...text, short: "o" }, concurrency: text };
  const { values, positionals } = parseArgs({ options, allowPositionals: true });
  return { ...values, input: positionals[0], concurrency: Number(values.concurrency) };
}

// clientOf(endpoint, concurrency) is a function that takes an item and brings the reply's body.
async function run(clientOf) {
  const options = parseArguments();
  const call = clientOf(options.endpoint, options.concurrency);
  const output = fs.createWriteStream(options.output);
  const lines = (await fs.promises.open(options.input)).readLines()[Symbol.asyncIterator]();
  const slot = async () => {
    for (let line = await lines.next(); !line.done; line = await lines.next()) {
      const item = JSON.parse(line.value);
      const { content } = (await call(item)).choices[0].message;
      output.write(JSON.stringify({ custom_id: item.custom_id, content }) + "\n");
    }
  };
  await Promise.all(Array.from({ length: options.concurrency }, slot));
  output.end();
  await finished(output);
}

exports.runBatch = (clientOf) =>
  run(clientOf).catch((error) => {
    console.error(error);
    process.exit(1);
  });
