// Posts every line of an OpenAI batch file with undici, the HTTP client behind node's fetch.
"use strict";

const { Agent, request } = require("undici");
const { runBatch } = require("./batch.js");

runBatch((endpoint, concurrency) => {
  const base = endpoint.replace(/\/+$/, "").replace(/\/v1$/, ""); // which the lines' url brings along
  const dispatcher = new Agent({ connections: concurrency });
  const headers = { "content-type": "application/json" };
  return async (item) => {
    const body = JSON.stringify(item.body);
    const reply = await request(base + item.url, { dispatcher, method: "POST", headers, body });
    if (reply.statusCode !== 200) {
      throw new Error(`${item.custom_id}: status ${reply.statusCode}: ${await reply.body.text()}`);
    }
    return reply.body.json();
  };
});
