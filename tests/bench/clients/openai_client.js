// Asks for every line of an OpenAI batch file, all of them chat completions, with OpenAI's own library.
"use strict";

const { OpenAI } = require("openai");
const { runBatch } = require("./batch.js");

runBatch((endpoint) => {
  // Without retries an answer that is not a success is an error at once.
  const client = new OpenAI({ baseURL: endpoint, apiKey: "none", maxRetries: 0 });
  return (item) => client.chat.completions.create(item.body);
});
